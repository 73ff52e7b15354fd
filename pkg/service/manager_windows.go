package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

// pollEvery is how often the state is looked at while it changes.
const pollEvery = 250 * time.Millisecond

// NewManager gives the Windows service manager.
func NewManager() Manager { return scm{} }

var _ Manager = scm{}

// scm is the service control manager.
type scm struct{}

// open connects and opens the service, if it is to be there, for no more than is
// to be done: everybody may ask for its state.
func (scm) open(access uint32, use func(*mgr.Service) error) error {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return fault("connect to the service manager", err)
	}
	defer func() { _ = windows.CloseServiceHandle(manager) }()
	name, err := windows.UTF16PtrFromString(Name)
	if err != nil {
		return fault("open the service", err)
	}
	handle, err := windows.OpenService(manager, name, access)
	if err != nil {
		return fault("open the service", err)
	}
	s := &mgr.Service{Name: Name, Handle: handle}
	defer func() { _ = s.Close() }()
	return use(s)
}

// fault says what an error of the service manager means and what to do.
func fault(doing string, err error) error {
	switch {
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return fmt.Errorf("%s: %w: use a console that was opened as administrator", doing, ErrDenied)
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		return fmt.Errorf("%w: use `vaultsync service install`", ErrNotInstalled)
	case errors.Is(err, windows.ERROR_SERVICE_EXISTS), errors.Is(err, windows.ERROR_DUPLICATE_SERVICE_NAME):
		return fmt.Errorf("%w: use `vaultsync service uninstall` first", ErrInstalled)
	case errors.Is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE):
		return fmt.Errorf("%s: it is being removed: close all windows that show services, then try again", doing)
	case errors.Is(err, windows.ERROR_INVALID_SERVICE_ACCOUNT):
		return fmt.Errorf("%s: there is no such account, or it has a password: use `NT SERVICE\\%s`, `NT AUTHORITY\\LocalService` or a managed service account", doing, Name)
	case errors.Is(err, windows.ERROR_SERVICE_LOGON_FAILED):
		return fmt.Errorf("%s: its account cannot sign in: give it the right to log on as a service, or install again with another --account", doing)
	case errors.Is(err, windows.ERROR_SERVICE_DISABLED):
		return fmt.Errorf("%s: it is disabled: set its start type to automatic in the list of services", doing)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// Install registers the service with an explicit command line, recovery actions
// and a delayed start.
func (scm) Install(_ context.Context, i Installation) error {
	for what, file := range map[string]string{"the program": i.Executable, "the configuration": i.ConfigFile} {
		if !filepath.IsAbs(file) {
			return fmt.Errorf("%s: %q is not an absolute path", what, file)
		}
	}
	m, err := mgr.Connect()
	if err != nil {
		return fault("connect to the service manager", err)
	}
	defer func() { _ = m.Disconnect() }()
	config := mgr.Config{
		DisplayName:      "vaultsync",
		Description:      "Keeps vault users in step with the directory.",
		StartType:        mgr.StartAutomatic,
		ErrorControl:     mgr.ErrorNormal,
		ServiceStartName: i.Account,
	}
	s, err := m.CreateService(Name, i.Executable, config, "-c", i.ConfigFile, "run", "--service")
	if err != nil {
		return fault("install the service", err)
	}
	defer func() { _ = s.Close() }()
	err = s.SetRecoveryActions([]mgr.RecoveryAction{
		{Type: mgr.ServiceRestart, Delay: 10 * time.Second},
		{Type: mgr.ServiceRestart, Delay: time.Minute},
		{Type: mgr.ServiceRestart, Delay: 5 * time.Minute},
	}, uint32((24 * time.Hour).Seconds()))
	if err != nil {
		return errors.Join(fmt.Errorf("install the service: set what follows a failure: %w", err), s.Delete())
	}
	// Best effort, apart from the rest: not every Windows has these, and the
	// service works without.
	_ = delayStart(s)
	_ = s.SetRecoveryActionsOnNonCrashFailures(true)
	// The source may be there from an installation before.
	_ = eventlog.InstallAsEventCreate(Name, eventlog.Info|eventlog.Warning|eventlog.Error)
	return nil
}

// delayStart lets the machine's start go first.
func delayStart(s *mgr.Service) error {
	c, err := s.Config()
	if err != nil {
		return err
	}
	c.DelayedAutoStart = true
	return s.UpdateConfig(c)
}

// Uninstall stops the service and removes it.
func (w scm) Uninstall(ctx context.Context) error {
	return w.open(windows.SERVICE_QUERY_STATUS|windows.SERVICE_STOP|windows.DELETE, func(s *mgr.Service) error {
		if err := stop(ctx, s); err != nil {
			return err
		}
		if err := s.Delete(); err != nil {
			return fault("uninstall the service", err)
		}
		_ = eventlog.Remove(Name) // a source without a service does no harm
		return nil
	})
}

// Start starts the service and waits until it runs.
func (w scm) Start(ctx context.Context) error {
	return w.open(windows.SERVICE_QUERY_STATUS|windows.SERVICE_START, func(s *mgr.Service) error {
		if err := s.Start(); err != nil && !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
			return fault("start the service", err)
		}
		return await(ctx, s, svc.Running)
	})
}

// Stop stops it and waits until it has reached its safe point.
func (w scm) Stop(ctx context.Context) error {
	return w.open(windows.SERVICE_QUERY_STATUS|windows.SERVICE_STOP, func(s *mgr.Service) error { return stop(ctx, s) })
}

// stop asks until the service takes it: one that is starting or stopping does not.
func stop(ctx context.Context, s *mgr.Service) error {
	for {
		_, err := s.Control(svc.Stop)
		switch {
		case err == nil:
			return await(ctx, s, svc.Stopped)
		case errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE):
			return nil
		case !errors.Is(err, windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL):
			return fault("stop the service", err)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// pause waits for the next look.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("the service has not come to its state yet: %w", context.Cause(ctx))
	case <-time.After(pollEvery):
		return nil
	}
}

// await polls until the service is in a state, or has ended on its way to it.
func await(ctx context.Context, s *mgr.Service, want svc.State) error {
	for {
		status, err := s.Query()
		switch {
		case err != nil:
			return fmt.Errorf("ask for the service's state: %w", err)
		case status.State == want:
			return nil
		case status.State == svc.Stopped:
			return fmt.Errorf("the service ended at once with code %d: the event log says why, under Application, source %s", cmp.Or(status.ServiceSpecificExitCode, status.Win32ExitCode), Name)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// Query is the service's state.
func (w scm) Query(context.Context) (State, error) {
	var state State
	err := w.open(windows.SERVICE_QUERY_STATUS, func(s *mgr.Service) error {
		status, err := s.Query()
		if err != nil {
			return fmt.Errorf("ask for the service's state: %w", err)
		}
		switch status.State {
		case svc.StartPending, svc.ContinuePending:
			state = StartPending
		case svc.StopPending, svc.PausePending:
			state = StopPending
		case svc.Stopped:
			state = Stopped
		default:
			state = Running
		}
		return nil
	})
	return state, err
}
