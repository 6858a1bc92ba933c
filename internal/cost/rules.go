package cost

import (
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

const (
	// maxErrors ends validation: nobody reads more, and each takes memory.
	maxErrors = 50
	// maxSuggesting is up to how many bytes of a document errors say "Did you
	// mean …?": each name is compared with all others, letter by letter.
	maxSuggesting = 8 << 10
)

type ruleSet []core.Rule

// newRules returns gqlparser's rules, sorted by name. Whether fields can be
// merged is not among them: Document.Validate has a rule of its own for that.
func newRules(suggest, private bool) (set ruleSet) {
	without := map[string]core.Rule{
		"FieldsOnCorrectType": rules.FieldsOnCorrectTypeRuleWithoutSuggestions,
		"KnownArgumentNames":  rules.KnownArgumentNamesRuleWithoutSuggestions,
		"KnownTypeNames":      rules.KnownTypeNamesRuleWithoutSuggestions,
		"ScalarLeafs":         rules.ScalarLeafsRuleWithoutSuggestions,
		"ValuesOfCorrectType": rules.ValuesOfCorrectTypeRuleWithoutSuggestions,
	}
	for name, f := range rules.NewDefaultRules().GetInner() {
		if name == rules.OverlappingFieldsCanBeMergedRule.Name {
			continue
		}
		if r, ok := without[name]; ok && !suggest {
			f = r.RuleFunc
		}
		set = append(set, core.Rule{Name: name, RuleFunc: f})
	}
	if private {
		set = append(set, core.Rule{Name: "NoIntrospection", RuleFunc: noIntrospection})
	}
	slices.SortFunc(set, func(a, b core.Rule) int { return strings.Compare(a.Name, b.Name) })
	return set
}

func noIntrospection(observers *core.Events, addError core.AddErrFunc) {
	observers.OnField(func(_ *core.Walker, f *ast.Field) {
		if f.Name == "__schema" || f.Name == "__type" {
			addError(core.Message("Introspection is switched off."), core.At(f.Position))
		}
	})
}

// enough ends validation from within a rule.
type enough struct{}

// Validate applies the rules of the GraphQL specification (section 5), and
// returns what breaks them, up to 50 errors with the code
// GRAPHQL_VALIDATION_FAILED. It must return before the document is shared.
func (d *Document) Validate() (errs gqlerror.List) {
	defer func() {
		if v := recover(); v != nil && v != any(enough{}) {
			panic(v)
		}
	}()
	fail := func(err *gqlerror.Error) {
		if err.Err == nil {
			err.Extensions = map[string]any{"code": validationFailed}
		}
		errs = append(errs, err)
		if len(errs) >= maxErrors {
			panic(enough{})
		}
	}
	set := d.judge.kind
	if d.text > maxSuggesting {
		set = d.judge.strict
	}
	observers := &core.Events{}
	for _, r := range set {
		r.RuleFunc(observers, func(options ...core.ErrorOption) {
			err := &gqlerror.Error{Rule: r.Name}
			for _, o := range options {
				o(err)
			}
			fail(err)
		})
	}
	core.Walk(d.judge.schema, d.Query, observers)
	if len(errs) == 0 {
		m := newMerger(d.judge, fail)
		for _, op := range d.Query.Operations {
			m.operation(op)
		}
	}
	return errs
}
