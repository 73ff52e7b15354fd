package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// longestSleep bounds how late a jump of the clock is noticed.
	longestSleep = 30 * time.Second
	// jump is how far the wall clock must depart from the time elapsed to be
	// taken for one that was set, or for a machine that slept.
	jump = 10 * time.Second
	// saveAfter gathers the run times of one tick into one transaction. A
	// crash within it repeats a quiet run, nothing else.
	saveAfter = 5 * time.Second
	// saveAgainAfter is the pause after run times could not be saved.
	saveAgainAfter = time.Minute
)

// Options are what a Runner needs.
type Options struct {
	// Concurrency is how many vaults run at the same time.
	Concurrency int
	Logger      *slog.Logger
	Times       Times
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
}

// Runner runs each vault when it is due. Its methods are safe for use by
// several goroutines.
type Runner struct {
	logger *slog.Logger
	times  Times
	clock  func() time.Time
	wake   chan struct{} // holds at most one wish to look again
	saving sync.Mutex    // held while Times writes, taken before mu

	mu          sync.Mutex
	concurrency int
	entries     map[string]*entry
	gone        map[string]Past // run times of vaults that are not configured now
	waiting     dueHeap
	wanted      []*entry  // have pending flights and nothing under way
	queue       []*flight // prepared, in the order in which they get places
	running     int       // places taken
	started     bool
	stopped     bool
	unsaved     map[string]bool
	saveAt      time.Time // when unsaved is written; zero: nothing to write
	lastWall    time.Time // of the last turn
	lastTurn    time.Time // the same with its monotonic reading
}

// NewRunner reads the run times and checks the jobs. Nothing runs before Run.
func NewRunner(o Options, jobs []Job) (*Runner, error) {
	past, err := o.Times.Load()
	if err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	if past == nil {
		past = map[string]Past{}
	}
	r := &Runner{
		logger: o.Logger, times: o.Times, clock: o.Now, wake: make(chan struct{}, 1),
		entries: map[string]*entry{}, gone: past, unsaved: map[string]bool{},
	}
	if r.clock == nil {
		r.clock = time.Now
	}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	if err := r.Replace(jobs, o.Concurrency); err != nil {
		return nil, err
	}
	return r, nil
}

// now is the wall clock without its monotonic reading: times of runs are
// compared as a person would, and jumps of the clock are seen.
func (r *Runner) now() time.Time { return r.clock().Round(0) }

// nudge makes the loop look again.
func (r *Runner) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run runs the vaults until ctx is done, then waits for those under way to
// reach their safe point and saves the run times. It returns an error only when
// these could not be saved. It is called once.
func (r *Runner) Run(ctx context.Context) error {
	var flights sync.WaitGroup
	r.begin()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			r.refuse()
			flights.Wait()
			return r.save()
		case <-timer.C:
		case <-r.wake:
		}
		if ctx.Err() != nil {
			continue
		}
		sleep, save := r.step(ctx, &flights)
		if save {
			if err := r.save(); err != nil {
				r.logger.Error("run times cannot be saved: after a restart vaults may run early", "error", err)
			}
		}
		timer.Reset(sleep)
	}
}

// begin sets every vault's time, seen from start-up.
func (r *Runner) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.started, r.lastWall, r.lastTurn = true, now, time.Now()
	for _, e := range r.entries {
		e.start = now
	}
	r.spread(now, func(e *entry, place float64, n int) time.Time {
		return e.timing.Restart(now, e.past, place, n)
	})
}

// spread gives all idle vaults a due time from at, those that are overdue with
// their place among the n overdue ones and the others with their place among all.
func (r *Runner) spread(now time.Time, at func(e *entry, place float64, n int) time.Time) {
	var late []string
	for name, e := range r.entries {
		if e.flight == nil && !e.past.Paused && e.timing.overdue(now, e.past) {
			late = append(late, name)
		}
	}
	places := Places(late)
	for name, e := range r.entries {
		place, overdue := places[name]
		if !overdue {
			place = e.place
		}
		e.due = at(e, place, len(late))
		r.waiting.settle(e)
	}
}

// step begins all that is due and says how long to sleep, and whether run times
// are to be saved now.
func (r *Runner) step(ctx context.Context, flights *sync.WaitGroup) (sleep time.Duration, save bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.watchClock(now)
	for _, e := range r.wanted {
		if e.flight == nil && len(e.pending) > 0 {
			f := e.pending[0]
			e.pending = e.pending[1:]
			r.launch(ctx, flights, f, now)
		}
	}
	r.wanted = nil
	sleep = longestSleep
	for len(r.waiting) > 0 {
		e := r.waiting[0]
		if wait := e.due.Sub(now); wait > 0 {
			sleep = min(sleep, wait)
			break
		}
		r.launch(ctx, flights, newFlight(e, Kind{Full: e.timing.FullDue(now, e.past)}, nil), now)
	}
	if len(r.unsaved) > 0 {
		save = !r.saveAt.After(now)
		sleep = min(sleep, max(r.saveAt.Sub(now), saveAfter/10))
	}
	return sleep, save
}

// watchClock notices a wall clock that was set, or a machine that slept, and
// sets the times of the idle vaults anew: back, a vault is due after one
// interval at the latest; forward, what was missed is made up once, spread.
func (r *Runner) watchClock(now time.Time) {
	turn := time.Now()
	departed := now.Sub(r.lastWall) - turn.Sub(r.lastTurn)
	r.lastWall, r.lastTurn = now, turn
	if departed.Abs() < jump {
		return
	}
	r.logger.Warn("the clock jumped; run times are set anew", "by", departed.Round(time.Second).String())
	r.saveAt = time.Time{} // whatever was to be saved is saved now
	if departed > 0 {
		r.spread(now, func(e *entry, place float64, n int) time.Time {
			// After a back-off the pause goes on, by the new clock.
			if e.past.Failures == 0 && e.timing.overdue(now, e.past) {
				return now.Add(part(overdueWindow(e.timing.Interval(now), n), place))
			}
			return e.due
		})
		return
	}
	for _, e := range r.entries {
		if e.past.LastStart.After(now) || e.start.After(now) || e.finished.After(now) {
			e.start = earlier(e.start, now)
			e.finished = earlier(e.finished, now)
			e.past.LastStart = earlier(e.past.LastStart, now)
			e.due = e.timing.Due(now, e.start, e.finished, e.past, e.place)
			r.unsaved[e.job.Name] = true
			r.waiting.settle(e)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// refuse ends what was asked for and has not begun.
func (r *Runner) refuse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	for _, e := range r.entries {
		for _, f := range e.pending {
			f.end(ErrStopped)
		}
		e.pending = nil
	}
}

// save writes the run times that changed, in one transaction.
func (r *Runner) save() error {
	r.saving.Lock()
	defer r.saving.Unlock()
	r.mu.Lock()
	changed := make(map[string]Past, len(r.unsaved))
	for name := range r.unsaved {
		if e, ok := r.entries[name]; ok {
			changed[name] = e.past
		} else {
			changed[name] = r.gone[name]
		}
	}
	clear(r.unsaved)
	r.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	err := r.times.Save(changed)
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range changed {
		r.unsaved[name] = true
	}
	r.saveAt = r.now().Add(saveAgainAfter)
	return errors.Join(errors.New("save run times"), err)
}

// changed marks e's run times as not yet saved. Those of a first import are
// saved at once: lost, they would let the vault wait for its hour again.
func (r *Runner) changed(e *entry, now time.Time, urgent bool) {
	if len(r.unsaved) == 0 {
		r.saveAt = now.Add(saveAfter)
	}
	if urgent {
		r.saveAt = now
	}
	r.unsaved[e.job.Name] = true
}
