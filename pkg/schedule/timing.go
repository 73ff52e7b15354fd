package schedule

import (
	"errors"
	"fmt"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
)

// The bounds of a schedule.
const (
	// MinEvery is the shortest interval between two runs of a vault.
	MinEvery = time.Minute
	// firstPause is the pause after a first failure; each further one doubles it.
	firstPause = time.Minute
	// MaxPause bounds the pauses of a vault that keeps failing.
	MaxPause = 6 * time.Hour
)

// Past is what is known of a vault's runs. It survives restarts.
type Past struct {
	// LastStart is when the last attempt of a scheduled or manual run began.
	LastStart time.Time
	// LastFull is when the last full run that succeeded began.
	LastFull time.Time
	// Imported is when the first run that succeeded began; zero: never.
	Imported time.Time
	// Failures counts the scheduled runs that failed since the last success.
	Failures int
	// Paused switches scheduled runs off.
	Paused bool
}

// Timing is a checked schedule.
type Timing struct {
	every     time.Duration // 0 with cron
	cron      Cron
	zone      *time.Location
	auto      bool
	after     time.Duration // "+10m"; 0 otherwise
	clock     bool          // "HH:MM"
	hour, min int
	reconcile time.Duration
}

// NewTiming checks a schedule.
func NewTiming(s config.Schedule) (Timing, error) {
	t := Timing{every: s.Every, zone: s.TimeZone, auto: s.First.Auto, reconcile: s.ReconcileEvery}
	if t.zone == nil {
		t.zone = time.Local
	}
	switch {
	case s.Cron != "" && s.Every != 0:
		return Timing{}, errors.New("schedule has both every and cron: keep one")
	case s.Cron != "":
		c, err := ParseCron(s.Cron)
		if err != nil {
			return Timing{}, fmt.Errorf("schedule.cron: %w", err)
		}
		t.cron = c
	case s.Every < MinEvery:
		return Timing{}, fmt.Errorf("schedule.every is %v: want at least %v", s.Every, MinEvery)
	}
	if s.ReconcileEvery < MinEvery {
		return Timing{}, fmt.Errorf("schedule.reconcileEvery is %v: want at least %v", s.ReconcileEvery, MinEvery)
	}
	switch {
	case s.First.Auto:
	case s.First.Clock != "":
		hour, minute, err := parseClock(s.First.Clock)
		if err != nil {
			return Timing{}, fmt.Errorf("schedule.startTimeOfFirstImport: %w", err)
		}
		t.clock, t.hour, t.min = true, hour, minute
	case s.First.After < 0:
		return Timing{}, fmt.Errorf("schedule.startTimeOfFirstImport is %v: want a time after start-up", s.First.After)
	default:
		t.after = s.First.After
	}
	return t, nil
}

// First is when a vault that has never been imported is due.
//
//	startTimeOfFirstImport   every                    cron
//	auto                     start + place × every    the next time that cron names
//	"+10m"                   start + 10m              start + 10m
//	"02:30"                  the next 02:30           the next 02:30
//
// start is when the daemon, or this vault's configuration, came up; place is
// from Places.
func (t Timing) First(start time.Time, place float64) time.Time {
	switch {
	case t.clock:
		return nextClock(start, t.hour, t.min, t.zone)
	case !t.auto:
		return start.Add(t.after)
	case t.every > 0:
		return start.Add(part(t.every, place))
	default:
		return t.cron.Next(start, t.zone)
	}
}

// Next is when a vault that has been imported is due by its schedule alone: an
// interval after the start of its last run, or the first time after it that
// cron names, however many were missed since. A last run in the future (the
// clock was set back) counts as one that began now, so that the vault is due
// after one interval at the latest.
func (t Timing) Next(now, lastStart time.Time) time.Time {
	if lastStart.After(now) {
		lastStart = now
	}
	if t.every > 0 {
		return lastStart.Add(t.every)
	}
	return t.cron.Next(lastStart, t.zone)
}

// Due is when a vault is due, of all its rules, seen from now.
//
//	imported   last attempt   due
//	never      none           First
//	never      failed         after a pause
//	yes        failed         after a pause
//	yes        succeeded      Next
//
// A pause is counted from finished, the end of the failed attempt. The zero time
// is never.
func (t Timing) Due(now, start, finished time.Time, past Past, place float64) time.Time {
	switch {
	case past.Failures > 0:
		if finished.After(now) {
			finished = now
		}
		return finished.Add(t.Pause(now, past.Failures))
	case past.Imported.IsZero():
		return t.First(start, place)
	default:
		return t.Next(now, past.LastStart)
	}
}

// Restart is when a vault is due after a restart at start. One that is overdue
// or was failing (a restart ends the back-off: it may have been the cure) runs
// at its place in a spread of the n overdue ones; "+10m" holds each back until
// then; "HH:MM" holds back only a vault that was never imported.
func (t Timing) Restart(start time.Time, past Past, place float64, n int) time.Time {
	if past.Imported.IsZero() {
		return t.First(start, place)
	}
	due := t.Next(start, past.LastStart)
	if t.overdue(start, past) {
		due = start.Add(part(overdueWindow(t.Interval(start), n), place))
	}
	if earliest := start.Add(t.after); due.Before(earliest) {
		due = earliest
	}
	return due
}

// overdue reports whether a vault that has been imported should have run.
func (t Timing) overdue(now time.Time, past Past) bool {
	if past.Imported.IsZero() {
		return false
	}
	next := t.Next(now, past.LastStart)
	return past.Failures > 0 || !next.IsZero() && !next.After(now)
}

// FullDue reports whether a run that begins now reads everything.
func (t Timing) FullDue(now time.Time, past Past) bool {
	// A full read in the future is one that the clock's correction hides.
	return past.LastFull.IsZero() || past.LastFull.After(now) || now.Sub(past.LastFull) >= t.reconcile
}

// Interval is the time between two runs; for cron, between the next two.
func (t Timing) Interval(now time.Time) time.Duration {
	if t.every > 0 {
		return t.every
	}
	return t.cron.interval(now, t.zone)
}

// Pause is how long a vault waits after that many failures in a row: a minute,
// doubled with each failure, up to four intervals, at least an hour and at most
// MaxPause. So a vault that runs every 15 minutes comes back within an hour of
// the end of an outage.
func (t Timing) Pause(now time.Time, failures int) time.Duration {
	limit := min(max(4*t.Interval(now), time.Hour), MaxPause)
	pause := firstPause
	for range failures - 1 {
		if pause >= limit {
			break
		}
		pause *= 2
	}
	return min(pause, limit)
}
