package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// dumped tells how a process ended and whether it left a core file.
func dumped(t *testing.T, cmd *exec.Cmd) (signal syscall.Signal, core bool) {
	t.Helper()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("the process ended with %v", err)
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok {
		t.Fatal("no wait status")
	}
	return status.Signal(), status.CoreDump()
}

// TestACrashLeavesNoCoreFile lets the daemon crash while a secret, a token and
// a proxy's password are in its memory, on a machine that allows core files.
func TestACrashLeavesNoCoreFile(t *testing.T) {
	t.Parallel()
	const limitless = `ulimit -c unlimited || exit 77; `
	shell := exec.CommandContext(t.Context(), "sh", "-c", limitless+`kill -ABRT $$`)
	shell.Dir = t.TempDir()
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	if _, core := dumped(t, shell); !core {
		t.Skip("this machine writes no core file of any process: nothing can be seen")
	}
	for name, signal := range map[string]syscall.Signal{"aborted": syscall.SIGABRT, "told to show what it does": syscall.SIGQUIT, "faulting": syscall.SIGSEGV} {
		t.Run("a daemon that is "+name, func(t *testing.T) {
			t.Parallel()
			w := newCanaryWorld(t)
			w.proxyURL = "http://proxyuser:" + canaryProxy + "@" + w.proxy
			w.env = []string{"GOTRACEBACK=crash"}
			daemon := w.program().command(t, "--log-level", "debug", "run")
			cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", limitless + `exec "$0" "$@"`}, daemon.Args...)...)
			cmd.Args[3] = daemon.Path
			cmd.Dir, cmd.Env = daemon.Dir, daemon.Env
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.cleanPages(true)
			limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid))
			if err != nil || !regexp.MustCompile(`Max core file size +0 `).Match(limits) {
				t.Errorf("the limit of core files is not zero: %v\n%s", err, limits)
			}
			if !inMemory(t, cmd.Process.Pid, canarySecret) {
				t.Error("the secret is not in memory: the test would prove nothing")
			}
			// Even when an administrator lifts the limit again.
			if err := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_CORE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}, nil); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if how, core := dumped(t, cmd); how != syscall.SIGABRT || core {
				t.Errorf("ended by %v, core file %v", how, core)
			}
			if cores, err := filepath.Glob(filepath.Join(w.dir, "core*")); err != nil || len(cores) > 0 {
				t.Errorf("core files: %v, %v", cores, err)
			}
			w.clean("log and crash", out.String())
			w.cleanFiles()
		})
	}
}

// inMemory looks for a text in the memory of another process, as the kernel
// would write it to a core file.
func inMemory(t *testing.T, pid int, text string) bool {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return true // not ours to look at: that is how it should be
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return true
	}
	defer func() { _ = memory.Close() }()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n != 3 || !strings.HasPrefix(mode, "rw") || to-from > 1<<30 {
			continue
		}
		part := make([]byte, to-from)
		n, _ := memory.ReadAt(part, from) // what is mapped and not there reads short
		if bytes.Contains(part[:n], []byte(text)) {
			return true
		}
	}
	return false
}
