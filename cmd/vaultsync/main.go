// Command vaultsync brings the users of document vaults to what the groups of
// a directory say. This package holds flags, exit codes and wiring: one file a
// command, nothing of how anything is done.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/vaultsync/vaultsync/pkg/memory"
)

func main() {
	os.Exit(start())
}

func start() int {
	memory.Bound(os.Getenv)
	return startAt(nil)
}

// startAt is the program under another clock than the machine's, which tests
// have.
func startAt(clock func() time.Time) int {
	forbidCores() // before any secret is read
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() {
		stop() // the next signal ends the process at once
	})
	s := &session{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, clock: clock,
		inTerminal:  term.IsTerminal(int(os.Stdin.Fd())),  //nolint:gosec // a file descriptor
		outTerminal: term.IsTerminal(int(os.Stdout.Fd())), //nolint:gosec // a file descriptor
		errTerminal: term.IsTerminal(int(os.Stderr.Fd())), //nolint:gosec // a file descriptor
	}
	return s.execute(ctx, os.Args[1:])
}

// execute runs one command line and gives its exit code. The daemon executes
// the command lines that reach it in the same way.
func (s *session) execute(ctx context.Context, args []string) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err)
	if text := errorText(err); text != "" {
		fmt.Fprintln(s.err, text) //nolint:errcheck // nowhere left to say so
	}
	return code
}
