package service

import (
	"context"
	"errors"
	"time"
)

// ErrStopRequested is the cause of the work's context when the service manager
// asked for the stop, as opposed to a signal.
var ErrStopRequested = errors.New("the service manager asked for a stop")

// State is where a service is in its life.
type State uint8

const (
	// StartPending is the time from the process's start until it is ready.
	StartPending State = iota + 1
	// Running accepts Stop and Shutdown.
	Running
	// StopPending is the time from a stop until the work has reached its safe point.
	StopPending
	// Stopped is the end.
	Stopped
)

// String is the state in words.
func (s State) String() string {
	switch s {
	case StartPending:
		return "starting"
	case Running:
		return "running"
	case StopPending:
		return "stopping"
	case Stopped:
		return "stopped"
	}
	return "unknown"
}

// Status is what the service manager is told.
type Status struct {
	State State
	// Checkpoint grows while a start or a stop is making progress.
	Checkpoint uint32
	// WaitHint is how long to wait for the next status before giving up.
	WaitHint time.Duration
	// Exit is the work's exit code, when Stopped.
	Exit int
}

// AcceptsStop reports whether Stop and Shutdown may be sent.
func (s Status) AcceptsStop() bool { return s.State == Running }

// Command is what the service manager asks for.
type Command uint8

const (
	// Interrogate asks for the status again.
	Interrogate Command = iota + 1
	// Stop asks for the end of the service.
	Stop
	// Shutdown says that the machine goes down: the same as Stop.
	Shutdown
)

const (
	// checkpointEvery is how often progress is reported while pending, and
	// pendingHint what is promised in each report.
	checkpointEvery = 2 * time.Second
	pendingHint     = 20 * time.Second
)

// Work is what the service does. It calls ready once it is up, ends at its next
// safe point when ctx is done, and returns its exit code.
type Work func(ctx context.Context, ready func()) (exit int)

// Live takes work through a service's life and returns its exit code.
//
//	state         on                  next          told before
//	StartPending  ready               Running
//	StartPending  Stop, Shutdown      StopPending   the work
//	Running       Stop, Shutdown      StopPending   the work
//	any           the work returns    Stopped
//
// While pending, a status with a higher checkpoint is reported every 2 s; a
// manager that hears nothing takes the service for hung. A closed commands is
// no command. report is called from this goroutine alone.
func Live(ctx context.Context, commands <-chan Command, report func(Status), work Work) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	now := Status{State: StartPending, Checkpoint: 1, WaitHint: pendingHint}
	report(now)

	ready := make(chan struct{}, 1)
	ended := make(chan int, 1)
	go func() {
		exit := 1 // of work that ends its goroutine
		defer func() { ended <- exit }()
		exit = work(ctx, func() {
			select {
			case ready <- struct{}{}:
			default:
			}
		})
	}()
	progress := time.NewTicker(checkpointEvery)
	defer progress.Stop()
	for {
		select {
		case exit := <-ended:
			report(Status{State: Stopped, Exit: exit})
			return exit
		case <-ready:
			if now.State == StartPending {
				now = Status{State: Running}
				report(now)
			}
		case <-progress.C:
			if now.State != Running {
				now.Checkpoint++
				report(now)
			}
		case command, open := <-commands:
			switch {
			case !open:
				commands = nil
			case command == Interrogate:
				report(now)
			case command != Stop && command != Shutdown: // not ours
			case now.State != StopPending:
				now = Status{State: StopPending, Checkpoint: 1, WaitHint: pendingHint}
				report(now)
				cancel(ErrStopRequested)
			}
		}
	}
}
