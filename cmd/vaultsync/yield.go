package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vaultsync/vaultsync/pkg/schedule"
)

// yieldAfter is how long a reload waits for scheduled runs that wait for their
// directory before it sends them away.
const yieldAfter = 10 * time.Second

// errYielded ends the waiting of a scheduled run, which is made soon after: the
// new configuration may be the cure of what it was waiting for, a wrong proxy
// for example.
var errYielded = fmt.Errorf("the directory did not answer before the configuration was read again; %w", schedule.ErrPutOff)

// yielding is the context in which a run waits for its directory. One that
// somebody waits for is not sent away.
func (d *daemon) yielding(ctx context.Context, kind schedule.Kind) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if kind.ByHand {
		return ctx, func() { cancel(nil) }
	}
	d.mu.Lock()
	if d.yield == nil {
		d.yield = make(chan struct{})
	}
	yield := d.yield
	d.mu.Unlock()
	go func() {
		select {
		case <-yield:
			cancel(errYielded)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// yieldSoon sends away, after a while, those who wait for a directory until the
// function that it gives is called. d.mu is held at both calls.
func (d *daemon) yieldSoon() (end func()) {
	if d.yield == nil {
		d.yield = make(chan struct{})
	}
	yield := d.yield
	timer := time.AfterFunc(yieldAfter, func() { close(yield) })
	return func() {
		if !timer.Stop() {
			d.yield = nil
		}
	}
}
