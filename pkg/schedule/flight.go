package schedule

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// launch sets f under way. The lock is held.
func (r *Runner) launch(ctx context.Context, flights *sync.WaitGroup, f *flight, now time.Time) {
	e := f.entry
	f.began, f.phase = now, Queued
	prepare := e.job.Prepare != nil && f.work == nil
	if prepare {
		f.phase = Preparing
	}
	e.flight = f
	r.waiting.settle(e)
	if !prepare {
		r.enqueue(f)
	}
	ctx, f.cancel = context.WithCancelCause(ctx)
	job := e.job // a reload may change the entry's while this one flies
	flights.Go(func() {
		defer f.cancel(nil)
		r.land(f, r.fly(ctx, job, f), ctx.Err() != nil)
	})
}

// fly takes f through its phases.
func (r *Runner) fly(ctx context.Context, job Job, f *flight) error {
	if f.work == nil && job.Prepare != nil {
		if err := r.safely(job.Name, func() error { return job.Prepare(ctx, f.kind) }); err != nil {
			return err
		}
		r.mu.Lock()
		r.enqueue(f)
		r.mu.Unlock()
	}
	select {
	case <-f.turn:
	case <-ctx.Done():
		if r.dequeue(f) {
			return context.Cause(ctx)
		}
	}
	// A place may have come at the moment of the stop: nothing new is begun.
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	work := f.work
	if work == nil {
		work = func(ctx context.Context) error { return job.Run(ctx, f.kind) }
	}
	return r.safely(job.Name, func() error { return work(ctx) })
}

// safely turns a panic into an error: one vault's fault is not the others'.
func (r *Runner) safely(vault string, do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.logger.Error("a run panicked", "vault", vault, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error, a fault of vaultsync: %v (the log has its place)", p)
		}
	}()
	return do()
}

// enqueue lines f up for a place: what somebody waits for before the rest. The
// lock is held.
func (r *Runner) enqueue(f *flight) {
	f.phase = Queued
	at := len(r.queue)
	if f.kind.ByHand {
		if i := slices.IndexFunc(r.queue, func(q *flight) bool { return !q.kind.ByHand }); i >= 0 {
			at = i
		}
	}
	r.queue = slices.Insert(r.queue, at, f)
	r.dispatch()
}

// dequeue takes f out of the line; false means that it has got a place.
func (r *Runner) dequeue(f *flight) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.queue, f)
	if i < 0 {
		return false
	}
	r.queue = slices.Delete(r.queue, i, i+1)
	return true
}

// dispatch hands out free places. The lock is held.
func (r *Runner) dispatch() {
	for r.running < r.concurrency && len(r.queue) > 0 {
		f := r.queue[0]
		r.queue = slices.Delete(r.queue, 0, 1)
		r.running++
		f.phase = Running
		close(f.turn)
	}
}

// land ends f with err; interrupted says that its context was done, so that an
// error is no failure of the vault.
func (r *Runner) land(f *flight, err error, interrupted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if f.phase == Running {
		r.running--
		r.dispatch()
	}
	e := f.entry
	e.flight = nil
	if f.work == nil {
		r.settleOutcome(e, f, err, interrupted, now)
	}
	f.end(err)
	r.follow(e)
	r.nudge()
}

// settleOutcome keeps what a run came to and sets the next time.
//
//	outcome       by hand            scheduled
//	ok            back-off ended, next time from its start
//	failed        nothing kept       longer pause
//	put off       nothing kept         soon
//	interrupted   nothing kept: the next run does its work
func (r *Runner) settleOutcome(e *entry, f *flight, err error, interrupted bool, now time.Time) {
	switch {
	case err == nil:
		if e.past.Failures > 0 {
			r.logger.Info("runs succeed again", "vault", e.job.Name, "failures", e.past.Failures)
		}
		first := e.past.Imported.IsZero()
		if first {
			e.past.Imported = f.began
		}
		if f.kind.Full || first {
			e.past.LastFull = f.began
		}
		e.past.LastStart, e.past.Failures, e.err = f.began, 0, nil
		r.changed(e, now, first)
	case interrupted, f.kind.ByHand:
		return
	case errors.Is(err, ErrPutOff):
		e.due = now.Add(overdueStep)
		return
	default:
		e.past.LastStart, e.finished, e.err = f.began, now, err
		e.past.Failures++
		r.changed(e, now, false)
	}
	e.due = e.timing.Due(now, e.start, e.finished, e.past, e.place)
}

// follow gives an idle vault what comes next: work asked for by hand, else its
// time. One that was removed while under way goes now.
func (r *Runner) follow(e *entry) {
	if e.removed {
		for _, f := range e.pending {
			f.end(fmt.Errorf("%s: %w", e.job.Name, ErrUnknownVault))
		}
		e.pending = nil
		r.gone[e.job.Name] = e.past
		delete(r.entries, e.job.Name)
	}
	if len(e.pending) > 0 {
		r.wanted = append(r.wanted, e)
	}
	r.waiting.settle(e)
}

// await waits for f on behalf of one who asked for it. When ctx is done, the
// last one to leave a flight begun by hand cancels it and waits for its safe
// point; a scheduled run goes on.
func (r *Runner) await(ctx context.Context, f *flight) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
	}
	if !r.leave(f, context.Cause(ctx)) {
		return context.Cause(ctx)
	}
	<-f.done
	return f.err
}

// leave reports whether f was cancelled because nobody waits for it any more.
func (r *Runner) leave(f *flight, cause error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.waiters--
	if f.waiters > 0 || !f.kind.ByHand {
		return false
	}
	if i := slices.Index(f.entry.pending, f); i >= 0 {
		f.entry.pending = slices.Delete(f.entry.pending, i, i+1)
		f.end(cause)
		return true
	}
	if f.cancel != nil {
		f.cancel(errors.Join(cause, context.Canceled))
	}
	return true
}
