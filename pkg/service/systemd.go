package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// systemd manages the unit through systemctl.
type systemd struct {
	// unit is the unit's file, booted a folder that exists when systemd runs.
	unit, booted string
	// systemctl runs it and returns what it printed on both streams.
	systemctl func(ctx context.Context, args ...string) (string, error)
}

// run calls systemctl; its error says what systemctl said.
func (s systemd) run(ctx context.Context, args ...string) error {
	out, err := s.systemctl(ctx, args...)
	if err != nil && os.Geteuid() != 0 {
		return fmt.Errorf("systemctl %s: %w: %s (%w: use sudo)", strings.Join(args, " "), err, strings.TrimSpace(out), ErrDenied)
	}
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(out))
	}
	return nil
}

// denied says that an error is one of rights, when it is.
func denied(doing string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: %w: use sudo (%w)", doing, ErrDenied, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// present refuses a machine without systemd, and one without the unit.
func (s systemd) present(installed bool) error {
	if _, err := os.Stat(s.booted); err != nil {
		return fmt.Errorf("%w: run `vaultsync run` under the supervisor that this machine has", ErrNoManager)
	}
	if !installed {
		return nil
	}
	if _, err := os.Stat(s.unit); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: there is no %s; use `vaultsync service install`", ErrNotInstalled, s.unit)
	} else if err != nil {
		return fmt.Errorf("service: %w", err)
	}
	return nil
}

// Install writes the unit and has it started at boot. It is not started yet.
func (s systemd) Install(ctx context.Context, i Installation) error {
	if err := s.present(false); err != nil {
		return err
	}
	text, err := Unit(i)
	if err = errors.Join(err, readable(i)); err != nil {
		return err
	}
	file, err := os.OpenFile(s.unit, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s; use `vaultsync service uninstall` first", ErrInstalled, s.unit)
	}
	if err != nil {
		return denied("install", err)
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err == nil {
		err = errors.Join(s.run(ctx, "daemon-reload"), s.run(ctx, "enable", Name))
	}
	if err != nil {
		// All or nothing: a unit that is not known to systemd helps nobody.
		return errors.Join(fmt.Errorf("install: %w", err), os.Remove(s.unit))
	}
	return nil
}

// Uninstall stops the service and removes the unit; state stays.
func (s systemd) Uninstall(ctx context.Context) error {
	if err := s.present(true); err != nil {
		return err
	}
	if err := s.run(ctx, "disable", "--now", Name); err != nil {
		return err
	}
	if err := os.Remove(s.unit); err != nil {
		return denied("uninstall", err)
	}
	return s.run(ctx, "daemon-reload")
}

// Start starts the service and waits until it is ready.
func (s systemd) Start(ctx context.Context) error { return s.command(ctx, "start") }

// Stop stops it and waits until it has reached its safe point.
func (s systemd) Stop(ctx context.Context) error { return s.command(ctx, "stop") }

func (s systemd) command(ctx context.Context, verb string) error {
	if err := s.present(true); err != nil {
		return err
	}
	if err := s.run(ctx, verb, Name); err != nil {
		return fmt.Errorf("%w (see journalctl -u %s)", err, Name)
	}
	return nil
}

// Query is the service's state.
func (s systemd) Query(ctx context.Context) (State, error) {
	if err := s.present(true); err != nil {
		return 0, err
	}
	// is-active exits with 3 for a unit that is not active: its word counts.
	out, err := s.systemctl(ctx, "is-active", Name)
	switch word := strings.TrimSpace(out); word {
	case "active", "reloading":
		return Running, nil
	case "activating":
		return StartPending, nil
	case "deactivating":
		return StopPending, nil
	case "inactive", "failed":
		return Stopped, nil
	default:
		return 0, errors.Join(fmt.Errorf("systemctl is-active %s said %q", Name, word), err)
	}
}
