package service

import (
	"context"
	"errors"
)

// The errors that callers tell apart.
var (
	// ErrNoManager means that this machine has no service manager that we know.
	ErrNoManager = errors.New("this machine has no service manager that can be used")
	// ErrNotInstalled means that the service is not installed.
	ErrNotInstalled = errors.New("the service is not installed")
	// ErrDenied means that this account may not do it.
	ErrDenied = errors.New("administrator's rights are needed")
	// ErrInstalled means that it is installed already.
	ErrInstalled = errors.New("the service is installed already")
)

// Manager is the machine's service manager. Its errors wrap ErrNoManager,
// ErrDenied, ErrNotInstalled or ErrInstalled where these apply; all but Query
// need administrator's rights.
type Manager interface {
	// Install registers the service, to be started at boot; it is not started.
	Install(ctx context.Context, i Installation) error
	// Uninstall stops the service and removes it. State and configuration stay.
	Uninstall(ctx context.Context) error
	// Start starts the service and waits until it is up.
	Start(ctx context.Context) error
	// Stop stops it and waits for its safe point.
	Stop(ctx context.Context) error
	// Query is the service's state.
	Query(ctx context.Context) (State, error)
}

var _ Manager = systemd{}
