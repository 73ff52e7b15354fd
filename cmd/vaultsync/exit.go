package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/control"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/mirror"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/schedule"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/embedded"
)

// The exit codes (contract.md, Commands).
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPartial     = 3
	exitHeld        = 4
	exitUnreachable = 5
	exitLocked      = 6
	exitDamaged     = 7
	exitInterrupted = 130
)

// gravity orders the codes: the gravest of several wins.
var gravity = []int{exitDone, exitPartial, exitHeld, exitFailed, exitUnreachable, exitUsage, exitLocked, exitDamaged, exitInterrupted} //nolint:gochecknoglobals // a constant list

func gravest(codes ...int) int {
	worst := exitDone
	for _, c := range codes {
		if slices.Index(gravity, c) > slices.Index(gravity, worst) {
			worst = c
		}
	}
	return worst
}

// exitError ends a command with a code; what there was to say has been said.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// usageError is a command line that cannot be carried out.
type usageError struct {
	text string
	hint string
}

func (e usageError) Error() string { return e.text }

// Hint says what to write instead.
func (e usageError) Hint() string { return e.hint }

// codes says which exit code an error has; the first that matches wins.
var codes = []struct { //nolint:gochecknoglobals // a constant table
	code  int
	kinds []error
}{
	{exitDamaged, []error{boltfile.ErrDamaged}},
	{exitLocked, []error{boltfile.ErrLocked, control.ErrNotAnswering, control.ErrInUse}},
	{exitUsage, []error{
		snapshot.ErrOtherTenant, snapshot.ErrOtherStore, reconcile.ErrOtherStore, mirror.ErrOtherTenant,
		snapshot.ErrNewer, snapshot.ErrOlder, mirror.ErrNewer, embedded.ErrNewer, embedded.ErrOlder, control.ErrOtherConfig, control.ErrOtherVersion,
		schedule.ErrUnknownVault,
	}},
	{exitUnreachable, []error{
		directory.ErrUnreachable, directory.ErrSignIn, directory.ErrForbidden, directory.ErrUntrustedLink,
		directory.ErrProtocol, vault.ErrUnreachable,
	}},
}

func exitCode(ctx context.Context, err error) int {
	var exit exitError
	var usage usageError
	var problems config.Problems
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &usage), errors.As(err, &problems):
		return exitUsage
	}
	for _, row := range codes {
		for _, kind := range row.kinds {
			if errors.Is(err, kind) {
				return row.code
			}
		}
	}
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	return exitFailed
}

// errorText is what is printed of an error: the error, and what to do.
func errorText(err error) string {
	var exit exitError
	if err == nil || errors.As(err, &exit) {
		return ""
	}
	text := "vaultsync: " + strings.TrimSpace(err.Error())
	if problems, ok := errors.AsType[config.Problems](err); ok {
		text = "vaultsync: the configuration cannot be used:\n" + problems.Error()
	}
	if hint := hintOf(err); hint != "" {
		text += "\n  try: " + hint
	}
	return text
}

// hintOf is the first hint in an error's chain.
func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}
