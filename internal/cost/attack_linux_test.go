package cost_test

import (
	"testing"

	"tidings/internal/cost"
	"tidings/internal/testkit/spend"
)

// TestAttacks holds that nothing hurts, and that each attack ends as it should.
func TestAttacks(t *testing.T) {
	j := judge(t, cost.Limits{}, false)
	var most spend.Most
	for _, a := range attacks() {
		if len(a.document) > 256<<10 {
			t.Errorf("%s: %d bytes", a.name, len(a.document))
		}
		vars := variables(t, a.variables)
		var err error
		cpu, bytes := spend.Of(func() { _, err = admit(j, a.document, "", vars) })
		most.Add(a.name, cpu, bytes)
		if got := verdict(err); got != a.want {
			t.Errorf("%s: %s, want %s: %.200v", a.name, got, a.want, err)
		}
		if cpu > spend.MaxCPU || bytes > spend.MaxBytes {
			t.Errorf("%s: took %v and %d KiB", a.name, cpu, bytes>>10)
		}
	}
	t.Logf("the slowest took %v (%s), the largest %d KiB (%s)", most.CPU, most.Slowest, most.Bytes>>10, most.Largest)
}
