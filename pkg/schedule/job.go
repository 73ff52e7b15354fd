package schedule

import (
	"context"
	"errors"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
)

// The errors that callers tell apart.
var (
	// ErrUnknownVault means that no vault of that name is configured.
	ErrUnknownVault = errors.New("no such vault is configured")
	// ErrStopped means that the runner is stopping: the run was not begun.
	ErrStopped = errors.New("vaultsync is stopping")
	// ErrPutOff is what Prepare wraps when it gave way to something else: that
	// is no failure, and the run is made soon.
	ErrPutOff = errors.New("the run is made soon")
)

// Job is one vault's runs.
type Job struct {
	Name string
	Spec config.Schedule
	// Prepare, if set, runs before Run and holds no place: a vault waits for
	// its directory there, so that one that hangs holds up nobody else.
	Prepare func(ctx context.Context, kind Kind) error
	// Run makes one run and returns nil unless the run as a whole failed. When
	// ctx is done it ends at its next safe point.
	Run func(ctx context.Context, kind Kind) error
}

// Kind says what sort of run is wanted.
type Kind struct {
	// Full reads directory and vault in full. A vault's first run is full.
	Full bool
	// ByHand is set when somebody asked for the run and waits for it.
	ByHand bool
	// Asked is when they asked, if one command asks for many vaults; else zero.
	Asked time.Time
}

// covers reports whether a run of kind k gives all that one of kind other does.
func (k Kind) covers(other Kind) bool { return k.Full || !other.Full }

// Phase is where a vault is.
type Phase uint8

const (
	// Waiting means for its time.
	Waiting Phase = iota + 1
	// BackingOff means that its last scheduled runs failed: it waits longer and longer.
	BackingOff
	// Paused means no scheduled runs until resumed.
	Paused
	// Preparing means due and waiting for its directory.
	Preparing
	// Queued means prepared and waiting for one of the places.
	Queued
	// Running means that it holds a place.
	Running
)

// String is the phase in words.
func (p Phase) String() string {
	switch p {
	case Waiting:
		return "waiting"
	case BackingOff:
		return "backingOff"
	case Paused:
		return "paused"
	case Preparing:
		return "preparing"
	case Queued:
		return "queued"
	case Running:
		return "running"
	}
	return "unknown"
}

// Status is one vault as the runner sees it.
type Status struct {
	Name  string
	Phase Phase
	// Next is when the vault is due; zero while it is paused, or when its cron
	// text names no more time.
	Next time.Time
	// FirstImport is when the first import began, or is due.
	FirstImport time.Time
	// Position is the place in the queue, from 1; 0 when not queued.
	Position int
	// Kind and Began describe the run under way.
	Kind  Kind
	Began time.Time
	// Err is why the last scheduled run failed; nil after a success and after
	// a restart.
	Err error
	// Past is what is kept over restarts, Paused included.
	Past Past
}

// entry is a job with its place in time.
type entry struct {
	job    Job
	timing Timing
	place  float64
	start  time.Time // when the daemon, or the reload that brought it, came up
	past   Past

	due      time.Time // of the next scheduled run; zero: never
	finished time.Time // end of the last failed scheduled run
	err      error     // of it
	index    int       // in the heap; -1: not in it

	flight  *flight   // under way
	pending []*flight // asked for by hand, begin when flight ends
	removed bool      // no longer configured, but under way
}

// flight is one run, or one piece of other work on a vault, from the moment it
// is wanted until it ends.
type flight struct {
	entry *entry
	kind  Kind
	work  func(ctx context.Context) error // nil: a run of the job

	phase   Phase
	began   time.Time
	turn    chan struct{} // closed when it gets a place
	cancel  context.CancelCauseFunc
	waiters int // those who asked for it by hand; the last to leave cancels it
	done    chan struct{}
	err     error // valid after done
}

func newFlight(e *entry, kind Kind, work func(context.Context) error) *flight {
	return &flight{entry: e, kind: kind, work: work, turn: make(chan struct{}), done: make(chan struct{})}
}

// end tells all who wait.
func (f *flight) end(err error) {
	f.err = err
	close(f.done)
}
