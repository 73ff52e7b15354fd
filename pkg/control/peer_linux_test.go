package control

import (
	"errors"
	"testing"
)

func TestPermit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		peer, daemon int
		ok           bool
	}{
		"the daemon's own user":         {1000, 1000, true},
		"root":                          {0, 1000, true},
		"another user":                  {1001, 1000, false},
		"another user of root's daemon": {1000, 0, false},
		"nobody":                        {65534, 1000, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := permit(c.peer, c.daemon)
			if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrDenied) {
				t.Errorf("permit(%d, %d) = %v, want ok %v", c.peer, c.daemon, err, c.ok)
			}
		})
	}
}
