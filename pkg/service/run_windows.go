package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
)

// Run runs work as a Windows service and returns its exit code. It must be
// called soon after the process's start, and only in a process that the service
// manager started (`run --service`).
func Run(ctx context.Context, work Work) (exit int, err error) {
	h := &handler{live: func(commands <-chan Command, report func(Status)) int {
		exit = Live(ctx, commands, report, work)
		return exit
	}}
	err = svc.Run(Name, h)
	if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		return 1, fmt.Errorf("%w: `run --service` is for Windows' service manager; use `vaultsync service start`, or `vaultsync run` in a console", ErrNoManager)
	}
	if err != nil {
		return 1, fmt.Errorf("run as a Windows service: %w", err)
	}
	return exit, nil
}

// handler puts the service manager's words into ours.
type handler struct {
	live func(commands <-chan Command, report func(Status)) int
}

// Execute implements svc.Handler.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (bool, uint32) {
	commands, done := make(chan Command), make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			case request := <-requests:
				if c, ok := command(request.Cmd); ok {
					select {
					case commands <- c:
					case <-done:
						return
					}
				}
			}
		}
	}()
	exit := h.live(commands, func(s Status) {
		// The end is reported by svc itself, from what is returned here.
		if s.State != Stopped {
			changes <- windowsStatus(s)
		}
	})
	return exit != 0, uint32(exit)
}

func command(c svc.Cmd) (Command, bool) {
	switch c {
	case svc.Interrogate:
		return Interrogate, true
	case svc.Stop:
		return Stop, true
	case svc.Shutdown:
		return Shutdown, true
	default:
		return 0, false
	}
}

func windowsStatus(s Status) svc.Status {
	status := svc.Status{CheckPoint: s.Checkpoint, WaitHint: uint32(s.WaitHint / time.Millisecond)}
	switch s.State {
	case StartPending:
		status.State = svc.StartPending
	case Running:
		status.State = svc.Running
	case StopPending:
		status.State = svc.StopPending
	case Stopped:
		status.State = svc.Stopped
	}
	if s.AcceptsStop() {
		status.Accepts = svc.AcceptStop | svc.AcceptShutdown
	}
	return status
}

// OpenLog gives the Windows event log. closeLog gives it free.
func OpenLog() (write LogWriter, closeLog func() error, err error) {
	log, err := eventlog.Open(Name)
	if err != nil {
		return nil, nil, fmt.Errorf("open the event log: %w", err)
	}
	return toEvents(log), log.Close, nil
}
