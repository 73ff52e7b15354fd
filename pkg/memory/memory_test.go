package memory

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestBound(t *testing.T) { //nolint:paralleltest // it sets what the whole process has
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	for _, c := range []struct {
		name  string
		env   map[string]string
		other bool // than the one before
	}{
		{"GOGC is the administrator's", map[string]string{"GOGC": "200"}, false},
		{"GOMEMLIMIT is the administrator's", map[string]string{"GOMEMLIMIT": "1GiB"}, false},
		{"nothing is set", nil, true}, // the last one: the bound is followed from then on
	} {
		t.Run(c.name, func(t *testing.T) { //nolint:paralleltest // as above
			debug.SetGCPercent(100)
			Bound(func(name string) string { return c.env[name] })
			if got := debug.SetGCPercent(100); (got != 100) != c.other {
				t.Errorf("garbage may grow to %d %%", got)
			}
		})
	}
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		live uint64
		want int
	}{
		{"nothing has been collected yet", 0, 400},
		{"a process that rests", 3 << 20, 400},
		{"a little in use leaves room for 32 MB", 16 << 20, 200},
		{"as much in use as the least room", 32 << 20, 100},
		{"half of what is in use from twice the least room on", 64 << 20, 50},
		{"a very large import", 1 << 30, 50},
		{"more than there can be", 1 << 63, 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := allowed(c.live); got != c.want {
				t.Errorf("%d bytes in use: %d %%, want %d %%", c.live, got, c.want)
			}
		})
	}
}

func TestFollow(t *testing.T) { //nolint:paralleltest // it sets what the whole process has
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	t.Run("the bound is set anew after each collection", func(t *testing.T) { //nolint:paralleltest // as above
		follow()
		for range 3 {
			debug.SetGCPercent(99)
			for debug.SetGCPercent(99) == 99 {
				if t.Context().Err() != nil {
					t.Fatal("the test was stopped")
				}
				runtime.GC()
			}
		}
	})
}
