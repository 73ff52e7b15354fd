package scim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// gate bounds what is sent at the same time, and holds everything back for as
// long as the service has asked for.
type gate struct {
	slots chan struct{}

	mu    sync.Mutex
	until time.Time
}

func newGate(parallel int) *gate { return &gate{slots: make(chan struct{}, parallel)} }

// errPaused says that the service's pause is longer than anybody should wait.
var errPaused = errors.New("the service has asked for no more requests")

// enter waits for a place and for the end of the service's pause. The caller
// calls leave.
func (g *gate) enter(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		g.mu.Lock()
		pause := time.Until(g.until)
		g.mu.Unlock()
		if pause <= 0 {
			break
		}
		if pause > patience {
			g.leave()
			return fmt.Errorf("%w until %s", errPaused, time.Now().Add(pause).Format("15:04:05"))
		}
		if err := sleep(ctx, pause); err != nil {
			g.leave()
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		g.leave()
		return err
	}
	return nil
}

func (g *gate) leave() { <-g.slots }

// pause holds everything back for d from now on.
func (g *gate) pause(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until := time.Now().Add(d); until.After(g.until) {
		g.until = until
	}
}

// sleep waits, or ends early with ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
