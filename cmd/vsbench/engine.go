package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/vaultsync/vaultsync/pkg/memory"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

const roleEngine = "engine"

// engineOrder is what an engine process is to do; it comes as its first line
// of input.
type engineOrder struct {
	Dir      string      `json:"dir"`
	Vaults   int         `json:"vaults"`
	Tenant   tenantFacts `json:"tenant"`
	Profiles string      `json:"profiles"` // a folder, or ""
}

// The phases, in the order in which they are ordered.
const (
	phaseImport = "first import"
	phaseQuiet  = "quiet tick"
	phaseChange = "1 % changed"
	phaseFull   = "full read"
)

// result is one phase.
type result struct {
	Phase string `json:"phase"`
	reading
	Requests   int   `json:"requests"`
	StoreCalls int   `json:"storeCalls"`
	Writes     int   `json:"writes"`  // single changes of the stores
	Changes    int   `json:"changes"` // what the reports count, memberships one by one
	Grown      int64 `json:"grown"`   // all files, by this phase
}

// engineProcess opens the engine and makes one phase for each line of input.
func engineProcess(ctx context.Context, in io.Reader, out io.Writer, args []string) (err error) {
	if len(args) != 0 {
		return errors.New("engine: takes no arguments")
	}
	memory.Bound(os.Getenv)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	var order engineOrder
	if !lines.Scan() {
		return errors.New("engine: no order came")
	}
	if err := json.Unmarshal(lines.Bytes(), &order); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	w, err := openWorld(order.Dir, order.Tenant, order.Vaults)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	answers := json.NewEncoder(out)
	for lines.Scan() {
		r, err := w.phase(ctx, lines.Text(), order.Profiles)
		if err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		if err := answers.Encode(r); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
	return nil
}

// phase makes one run of every vault, after one pull that they share, and
// measures it.
func (w *world) phase(ctx context.Context, name, profiles string) (result, error) {
	r := result{Phase: name}
	debug.FreeOSMemory() // what earlier phases left is not this one's
	before, err := w.bytes()
	if err != nil {
		return r, err
	}
	requests := w.client.Requests()
	for _, s := range w.stores {
		s.calls, s.writes = 0, 0
	}
	p, err := startProfile(profiles, name)
	if err != nil {
		return r, err
	}
	r.reading, err = gauge(func() error { return w.tick(ctx, name == phaseFull, &r) }, p.peak)
	if err = errors.Join(err, p.end()); err != nil {
		return r, err
	}
	r.Requests = int(w.client.Requests() - requests) //nolint:gosec // a count of requests
	for _, s := range w.stores {
		r.StoreCalls += s.calls
		r.Writes += s.writes
	}
	after, err := w.bytes()
	if err != nil {
		return r, err
	}
	r.Grown = after - before
	return r, nil
}

// tick is what the daemon does when all vaults are due at once.
func (w *world) tick(ctx context.Context, full bool, r *result) error {
	if _, err := w.directory.Pull(ctx, reconcile.Pull{Full: full}); err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	for _, v := range w.directory.Vaults {
		report, err := v.Run(ctx, reconcile.Options{Full: full, MaxAge: time.Hour, Prepared: true})
		if err != nil {
			return fmt.Errorf("vault %s: %w", v.Name(), err)
		}
		if report.Counts.Failed > 0 || report.Counts.Held > 0 {
			return fmt.Errorf("vault %s: %d changes failed and %d were held", v.Name(), report.Counts.Failed, report.Counts.Held)
		}
		r.Changes += report.Counts.Made()
	}
	return nil
}

// bytes is the size of all files below the folder of the run.
func (w *world) bytes() (total int64, err error) {
	err = filepath.WalkDir(w.dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure the files: %w", err)
	}
	return total, nil
}
