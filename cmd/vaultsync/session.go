package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/control"
)

// session is where one command line comes from and goes to: a terminal, a
// script, or the daemon on behalf of either.
type session struct {
	in                                   io.Reader
	out, err                             io.Writer
	inTerminal, outTerminal, errTerminal bool

	configPath string
	overrides  config.Overrides

	// clock is the time of runs in this process, nil for the machine's.
	clock func() time.Time

	// daemon is set when the daemon executes the command; ground instead when
	// the command has the files of the state for itself, underDaemon when they
	// are those of a running daemon.
	daemon      *app
	ground      *config.Config
	underDaemon bool
}

// load reads the configuration.
func (s *session) load() (*config.Config, error) {
	path := s.configPath
	if path == "" {
		path = config.DefaultPath()
	}
	overrides := s.overrides
	overrides.CheckTarget = checkTarget
	return config.Load(path, overrides)
}

// call is a command that works on the state: the running daemon executes it
// when there is one, otherwise this process does. args is the command line
// that says the same, input what it reads.
type call struct {
	args  []string
	input []byte
	// anyConfig lets a daemon with another configuration execute it.
	anyConfig bool
	work      func(ctx context.Context, a *app) error
}

func (s *session) do(ctx context.Context, c call) error {
	if s.daemon != nil {
		return c.work(ctx, s.daemon)
	}
	cfg, err := s.load()
	if err != nil {
		return err
	}
	request := control.Request{Args: c.args, ConfigDigest: cfg.Digest, StdoutTerminal: s.outTerminal, StderrTerminal: s.errTerminal}
	if c.anyConfig {
		request.ConfigDigest = ""
	}
	if c.input != nil {
		request.Inputs = []control.Input{{Name: "-", Data: c.input}}
	}
	code, err := control.Call(ctx, endpoint(cfg), request, s.out, s.err)
	switch {
	case err == nil && code == exitDone:
		return nil
	case err == nil:
		return exitError{code}
	case !errors.Is(err, control.ErrNoDaemon):
		return err
	}
	a, err := openApp(cfg, s.logger(cfg))
	if err != nil {
		return err
	}
	if s.clock != nil {
		a.clock = s.clock
	}
	return errors.Join(c.work(ctx, a), a.Close())
}

// capture runs a command of this program and keeps what it prints.
func (s *session) capture(ctx context.Context, args ...string) ([]byte, int) {
	var out bytes.Buffer
	inner := *s
	inner.out = &out
	code := inner.execute(ctx, args)
	return out.Bytes(), code
}

func endpoint(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "vaultsync.sock") }
