package graph

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"tidings/graph/model"
	"tidings/internal/fault"
)

// The limits of the contract, in characters (Unicode code points). The database holds them too (ent/schema).
const (
	minUsername, maxUsername = 3, 32
	maxEmail                 = 254
	maxFullName              = 100
	minPassword, maxPassword = 8, 128
	minTitle, maxTitle       = 3, 200
	maxPostContent           = 40_000
	maxCommentContent        = 10_000
	maxSearch                = 100
	maxFullTextQuery         = 500
	maxNodes                 = 100
)

// rules collects one fault for each field that breaks a rule.
type rules struct{ faults fault.List }

func (r *rules) err() error { return r.faults.Err() }

func (r *rules) broken(field, sentence string, args ...any) {
	r.faults = append(r.faults, fault.BadInput("input."+field, fmt.Sprintf(sentence, args...)))
}

var usernameText = regexp.MustCompile(`^[A-Za-z0-9_]*$`)

func (r *rules) username(s string) {
	switch n := utf8.RuneCountInString(s); {
	case !usernameText.MatchString(s):
		r.broken("username", "a username is made of letters (a-z), digits and underscores")
	case n < minUsername || n > maxUsername:
		r.broken("username", "a username has %d to %d characters, this has %d", minUsername, maxUsername, n)
	}
}

// A valid e-mail address as the HTML standard has it (section 4.10.5.1.5): ASCII, no comments, no quoted local part.
var emailText = regexp.MustCompile("^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$")

func (r *rules) email(s string) {
	switch {
	case len(s) > maxEmail:
		r.broken("email", "an e-mail address has at most %d characters, this has %d", maxEmail, utf8.RuneCountInString(s))
	case !emailText.MatchString(s):
		r.broken("email", "this is not an e-mail address such as name@example.org")
	}
}

func (r *rules) password(field, s string) {
	n := utf8.RuneCountInString(s)
	switch {
	case n < minPassword || n > maxPassword:
		r.broken(field, "a password has %d to %d characters, this has %d", minPassword, maxPassword, n)
	case !strings.ContainsFunc(s, unicode.IsUpper) || !strings.ContainsFunc(s, unicode.IsLower) || !strings.ContainsFunc(s, unicode.IsDigit):
		r.broken(field, "a password has an upper-case letter, a lower-case letter and a digit")
	}
}

// line is a text of one line.
func (r *rules) line(field, name, s string, least, most int) {
	if strings.ContainsFunc(s, unicode.IsControl) {
		r.broken(field, "the %s can't contain line breaks or other control characters", name)
		return
	}
	r.text(field, name, s, least, most)
}

func (r *rules) text(field, name, s string, least, most int) {
	switch n := utf8.RuneCountInString(s); {
	case n < least || n > most:
		r.broken(field, "the %s has %d to %d characters, this has %d", name, least, most, n)
	case strings.TrimSpace(s) == "":
		r.broken(field, "the %s can't be blank", name)
	}
}

func (r *rules) fullName(s string)       { r.line("fullName", "full name", s, 1, maxFullName) }
func (r *rules) title(s string)          { r.line("title", "title", s, minTitle, maxTitle) }
func (r *rules) postContent(s string)    { r.text("content", "content", s, 1, maxPostContent) }
func (r *rules) commentContent(s string) { r.text("content", "content", s, 1, maxCommentContent) }

// given checks the value of a field that may be left out but not be null, and returns it; nil when it is left out.
func given[T any](r *rules, field string, value graphql.Omittable[*T], check func(T)) *T {
	if !value.IsSet() {
		return nil
	}
	v := value.Value()
	if v == nil {
		r.broken(field, "%s can't be null: leave it out to keep it as it is", field)
	} else if check != nil {
		check(*v)
	}
	return v
}

func checkNewUser(in model.CreateUserInput) error {
	var r rules
	r.username(in.Username)
	r.email(in.Email)
	r.fullName(in.FullName)
	r.password("password", in.Password)
	return r.err()
}

func checkNewPassword(in model.ChangePasswordInput) error {
	var r rules
	r.password("newPassword", in.NewPassword)
	return r.err()
}

func checkNewPost(in model.CreatePostInput) error {
	var r rules
	r.title(in.Title)
	r.postContent(in.Content)
	return r.err()
}

func checkComment(content string) error {
	var r rules
	r.commentContent(content)
	return r.err()
}
