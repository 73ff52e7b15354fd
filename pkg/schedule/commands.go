package schedule

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Trigger makes one run of a vault now, whatever its schedule says and even
// when it is paused, and waits for it. It joins a run that is under way or
// asked for, if that one does all that kind wants: then joined is true, and
// all who wait get the same answer. When ctx is done and nobody else waits, a
// run begun by hand is stopped at its next safe point.
func (r *Runner) Trigger(ctx context.Context, name string, kind Kind) (joined bool, err error) {
	err = r.TriggerOrJoin(ctx, name, kind, func() { joined = true })
	return joined, err
}

// TriggerOrJoin is Trigger for those who want to know of it before they wait:
// joined is called when the run is another's.
func (r *Runner) TriggerOrJoin(ctx context.Context, name string, kind Kind, joined func()) error {
	kind.ByHand = true
	f, others, err := r.ask(name, kind)
	if err != nil {
		return err
	}
	if others {
		joined()
	}
	return r.await(ctx, f)
}

// Do makes work the only thing that happens to a vault, in one of the places,
// and waits for it: other work by hand on a vault than its runs. It does not
// count as a run. work's context is done when ctx is, or when the runner stops;
// work must not call Do or Trigger for the same vault.
func (r *Runner) Do(ctx context.Context, name string, work func(ctx context.Context) error) error {
	f, err := r.add(name, Kind{ByHand: true}, work)
	if err != nil {
		return err
	}
	return r.await(ctx, f)
}

// ask finds a run to join, or asks for one.
func (r *Runner) ask(name string, kind Kind) (f *flight, joined bool, err error) {
	if f := r.join(name, kind); f != nil {
		return f, true, nil
	}
	f, err = r.add(name, kind, nil)
	return f, false, err
}

func (r *Runner) join(name string, kind Kind) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[name]
	if !ok || e.removed || r.stopped {
		return nil
	}
	candidates := e.pending
	if e.flight != nil {
		candidates = append([]*flight{e.flight}, candidates...)
	}
	for _, f := range candidates {
		cancelled := f.kind.ByHand && f.waiters == 0
		if f.work == nil && f.kind.covers(kind) && !cancelled {
			f.waiters++
			return f
		}
	}
	return nil
}

func (r *Runner) add(name string, kind Kind, work func(context.Context) error) (*flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.find(name)
	if err != nil {
		return nil, err
	}
	f := newFlight(e, kind, work)
	f.waiters = 1
	e.pending = append(e.pending, f)
	if e.flight == nil {
		r.wanted = append(r.wanted, e)
	}
	r.nudge()
	return f, nil
}

// find gives the entry of a configured vault. The lock is held.
func (r *Runner) find(name string) (*entry, error) {
	e, ok := r.entries[name]
	switch {
	case r.stopped:
		return nil, ErrStopped
	case !ok || e.removed:
		return nil, fmt.Errorf("%s: %w", name, ErrUnknownVault)
	}
	return e, nil
}

// Pause switches a vault's scheduled runs off, now and after a restart; a run
// under way goes on. An error means that it could not be kept, and that nothing
// changed.
func (r *Runner) Pause(name string) error { return r.setPaused(name, true) }

// Resume switches a vault's scheduled runs on again. One that is overdue runs
// at once; the wait of a first import begins anew.
func (r *Runner) Resume(name string) error { return r.setPaused(name, false) }

func (r *Runner) setPaused(name string, paused bool) error {
	r.mu.Lock()
	e, err := r.find(name)
	if err != nil {
		r.mu.Unlock()
		return err
	}
	before := e.past.Paused
	r.applyPaused(e, paused)
	r.mu.Unlock()
	if before == paused {
		return nil
	}
	err = r.save()
	if err != nil {
		r.mu.Lock()
		r.applyPaused(e, before)
		r.mu.Unlock()
		return fmt.Errorf("%s: %w", name, err)
	}
	r.nudge()
	return nil
}

// applyPaused sets the flag and the due time. The lock is held.
func (r *Runner) applyPaused(e *entry, paused bool) {
	if e.past.Paused == paused {
		return
	}
	e.past.Paused = paused
	now := r.now()
	if !paused && r.started && e.flight == nil {
		if e.past.Imported.IsZero() {
			e.start = now // its first import waits from now on
		}
		e.due = e.timing.Due(now, e.start, e.finished, e.past, e.place)
	}
	r.changed(e, now, true)
	if r.started {
		r.waiting.settle(e)
	}
}

// State is every configured vault, sorted by name.
func (r *Runner) State() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Status, 0, len(r.entries))
	for _, e := range r.entries {
		if !e.removed {
			all = append(all, r.status(e))
		}
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (r *Runner) status(e *entry) Status {
	s := Status{Name: e.job.Name, Phase: Waiting, Next: e.due, FirstImport: e.past.Imported, Err: e.err, Past: e.past}
	if e.past.Failures > 0 {
		s.Phase = BackingOff
	}
	if s.FirstImport.IsZero() {
		s.FirstImport = e.due
	}
	if e.past.Paused {
		s.Phase, s.Next = Paused, time.Time{}
		if e.past.Imported.IsZero() {
			s.FirstImport = time.Time{}
		}
	}
	if f := e.flight; f != nil {
		s.Phase, s.Kind, s.Began = f.phase, f.kind, f.began
		s.Position = 1 + slices.Index(r.queue, f)
	}
	return s
}

// LastTurn is when the runner last looked what is due, at most half a minute
// ago as long as it is alive: what a watchdog asks.
func (r *Runner) LastTurn() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastTurn
}
