package schedule

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Replace takes over a new configuration, all of it or, with an error, nothing.
// A vault that stays keeps its time, unless its schedule changed; one that is
// backing off is tried again soon, for the reload may have been the cure. A
// vault that goes finishes its run, and its run times stay for its return.
func (r *Runner) Replace(jobs []Job, concurrency int) error {
	timings, err := check(jobs, concurrency)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	places := Places(slices.Collect(maps.Keys(timings)))
	var cured []string
	for _, job := range jobs {
		e, ok := r.entries[job.Name]
		if !ok {
			e = &entry{start: now, past: r.gone[job.Name], index: -1}
			delete(r.gone, job.Name)
			r.entries[job.Name] = e
		}
		same := ok && !e.removed && e.timing.same(timings[job.Name])
		e.job, e.timing, e.place, e.removed = job, timings[job.Name], places[job.Name], false
		if !r.started {
			continue
		}
		if e.past.Failures > 0 {
			cured = append(cured, job.Name)
		}
		if !same {
			e.start = now
			e.due = e.timing.Due(now, e.start, e.finished, e.past, e.place)
		}
		r.waiting.settle(e)
	}
	for name, place := range Places(cured) {
		e := r.entries[name]
		e.due = earlier(e.due, now.Add(part(overdueWindow(e.timing.Interval(now), len(cured)), place)))
		r.waiting.settle(e)
	}
	for name, e := range r.entries {
		if _, stays := timings[name]; !stays {
			r.remove(e)
		}
	}
	r.concurrency = concurrency
	r.dispatch()
	r.nudge()
	return nil
}

// remove takes a vault out, at once or when its run has ended.
func (r *Runner) remove(e *entry) {
	e.removed = true
	if e.flight == nil {
		r.follow(e)
		return
	}
	r.waiting.settle(e)
}

// check compiles all schedules and names every fault.
func check(jobs []Job, concurrency int) (map[string]Timing, error) {
	var faults []error
	if concurrency < 1 {
		faults = append(faults, fmt.Errorf("concurrency is %d: want at least 1", concurrency))
	}
	timings := make(map[string]Timing, len(jobs))
	for _, job := range jobs {
		if _, twice := timings[job.Name]; twice {
			faults = append(faults, fmt.Errorf("vault %s is there twice", job.Name))
		}
		if job.Run == nil {
			faults = append(faults, fmt.Errorf("vault %s has nothing to run", job.Name))
		}
		timing, err := NewTiming(job.Spec)
		if err != nil {
			faults = append(faults, fmt.Errorf("vault %s: %w", job.Name, err))
		}
		timings[job.Name] = timing
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	return timings, nil
}

// same reports whether two schedules name the same times.
func (t Timing) same(other Timing) bool {
	cron := func(t Timing) string { return fmt.Sprint(t.cron.spec) }
	zone := func(t Timing) string { return t.zone.String() }
	return t.every == other.every && cron(t) == cron(other) && zone(t) == zone(other) &&
		t.auto == other.auto && t.after == other.after && t.clock == other.clock &&
		t.hour == other.hour && t.min == other.min && t.reconcile == other.reconcile
}
