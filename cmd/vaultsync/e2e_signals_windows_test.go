package main

import (
	"os/exec"
	"testing"
)

// Windows has no signals to send to a process without a console of its own.
func terminate(t *testing.T, _ *exec.Cmd) { t.Helper(); t.Skip("no signals on Windows") }

func interrupt(t *testing.T, _ *exec.Cmd) { t.Helper(); t.Skip("no signals on Windows") }
