package memory_test

import (
	"runtime/debug"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/memory"
)

func TestBound(t *testing.T) { //nolint:paralleltest // it sets what the whole process has
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	for _, c := range []struct {
		name string
		env  map[string]string
		want int
	}{
		{"nothing is set", nil, 50},
		{"GOGC is the administrator's", map[string]string{"GOGC": "200"}, 100},
		{"GOMEMLIMIT is the administrator's", map[string]string{"GOMEMLIMIT": "1GiB"}, 100},
	} {
		t.Run(c.name, func(t *testing.T) { //nolint:paralleltest // as above
			debug.SetGCPercent(100)
			memory.Bound(func(name string) string { return c.env[name] })
			if got := debug.SetGCPercent(100); got != c.want {
				t.Errorf("garbage may grow to %d %%, want %d", got, c.want)
			}
		})
	}
}
