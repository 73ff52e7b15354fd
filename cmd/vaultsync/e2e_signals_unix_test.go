//go:build unix

package main

import (
	"os/exec"
	"syscall"
	"testing"
)

func terminate(t *testing.T, cmd *exec.Cmd) { t.Helper(); send(t, cmd, syscall.SIGTERM) }

func interrupt(t *testing.T, cmd *exec.Cmd) { t.Helper(); send(t, cmd, syscall.SIGINT) }

func send(t *testing.T, cmd *exec.Cmd, s syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// A daemon that does not answer is exit code 6.
func TestDaemonThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := smallSetting(t)
	s.sync(t, exitDone)
	d := s.daemon(t)
	send(t, d.cmd, syscall.SIGSTOP)
	r := s.wants(t, exitLocked, "status")
	if r.err == "" {
		t.Error("nothing is said")
	}
	send(t, d.cmd, syscall.SIGCONT)
	s.wants(t, exitDone, "status")
	d.stop(t)
}
