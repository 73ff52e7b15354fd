package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

// The environment by which this test binary knows that it is to be the
// program, and how far its clock is ahead.
const (
	envProgram = "VAULTSYNC_TEST_PROGRAM"
	envShift   = "VAULTSYNC_TEST_CLOCK"
)

// TestMain lets the test binary be the program itself: the tests start it anew
// for each command line.
func TestMain(m *testing.M) {
	if os.Getenv(envProgram) == "" {
		os.Exit(m.Run())
	}
	shift, err := time.ParseDuration(os.Getenv(envShift))
	if err != nil {
		os.Exit(99)
	}
	if shift != 0 {
		os.Exit(startAt(func() time.Time { return time.Now().Add(shift) }))
	}
	os.Exit(start())
}

// program is vaultsync with one configuration.
type program struct {
	config string
	shift  time.Duration // how far its clock is ahead
	env    []string
	dir    string
}

// result is what a command line did.
type result struct {
	code     int
	out, err string
}

// command is the program with a command line, not yet started.
func (p program) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if p.config != "" {
		args = append([]string{"-c", p.config}, args...)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), envProgram+"=1", envShift+"="+p.shift.String(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	cmd.Env = append(cmd.Env, p.env...)
	return cmd
}

func (p program) run(t *testing.T, args ...string) result {
	t.Helper()
	var out, stderr bytes.Buffer
	cmd := p.command(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: stderr.String()}
}
