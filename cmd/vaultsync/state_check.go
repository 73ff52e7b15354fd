package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/mirror"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/schedule"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault/embedded"
)

// examined is what came of the examination of one file.
type examined struct {
	stateFile
	code   int
	result string // sound, damaged, in use, failed
	detail string
	hint   string
	bytes  int64
}

func stateCheckCommand(s *session) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [VAULT]",
		Short: "Verify every page, checksum and record of the state",
		Long: `Verifies every page, checksum and record of the state, of all of it or of one
vault with its directory. Each file is examined by a process of its own, because
a file that is damaged badly enough ends whoever reads it. With the daemon
running copies are examined; nothing waits meanwhile.

Exits with 0 when everything is sound, 7 when something is damaged, 6 when a
file is in use by a process that does not answer.`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			line := append([]string{"state", "check"}, args...)
			if asJSON {
				line = append(line, "--json")
			}
			return s.do(cmd.Context(), call{args: line, work: func(ctx context.Context, a *app) error {
				return s.stateCheck(ctx, a, args, asJSON)
			}})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a file, one a line")
	return cmd
}

func (s *session) stateCheck(ctx context.Context, a *app, args []string, asJSON bool) error {
	files, err := chosen(a.cfg, args)
	if err != nil {
		return err
	}
	table := newTable(s.out, asJSON, "STATE", "RESULT", "SIZE", "DETAIL")
	worst, hints := exitDone, []string{}
	for _, f := range files {
		e, err := a.examineLive(ctx, f)
		if err != nil {
			return err
		}
		worst = gravest(worst, e.code)
		if e.hint != "" {
			hints = append(hints, f.String()+": "+e.hint)
		}
		row := map[string]any{"kind": f.kind, "name": f.name, "file": f.path, "result": e.result, "bytes": e.bytes, "detail": e.detail}
		if err := table.row(row, f.String(), e.result, sizeText(e.bytes), e.detail); err != nil {
			return err
		}
	}
	if err := table.end(); err != nil {
		return err
	}
	if len(files) == 0 && !asJSON {
		s.say("there is no state yet in %s", a.cfg.DataDir)
	}
	for _, hint := range hints {
		if !asJSON {
			s.say("%s", hint)
		}
	}
	return codeError(worst)
}

// examineLive examines a file as it is now: one that this process has open, or
// may open any moment, by way of a copy.
func (a *app) examineLive(ctx context.Context, f stateFile) (examined, error) {
	if a.runner == nil || f.kind == kindGuard {
		return examine(ctx, f)
	}
	dir, err := os.MkdirTemp(a.cfg.DataDir, ".check-")
	if err != nil {
		return examined{}, fmt.Errorf("make room for a copy: %w", err)
	}
	copied := f
	copied.path = filepath.Join(dir, "copy.db")
	err = a.copyState(ctx, f, copied.path)
	if err != nil {
		e := examined{stateFile: f, code: exitCode(ctx, err), result: resultOf(exitCode(ctx, err)), detail: err.Error(), hint: hintOf(err)}
		return e, errors.Join(ctx.Err(), os.RemoveAll(dir))
	}
	e, err := examine(ctx, copied)
	e.stateFile = f
	e.detail = strings.ReplaceAll(e.detail, copied.path, f.path)
	return e, errors.Join(err, os.RemoveAll(dir))
}

// copyState writes a consistent copy of a file of the state.
func (a *app) copyState(ctx context.Context, f stateFile, target string) error {
	a.mu.Lock()
	if v, ok := a.cfg.Vault(f.name); f.kind == kindVault && ok && a.vaults[v.Name].Snapshot != nil {
		state := a.vaults[v.Name].Snapshot
		a.mu.Unlock()
		return state.Backup(target)
	}
	var write func(w io.Writer) error
	switch {
	case f.kind == kindDirectory && a.directories[f.name] != nil:
		write = a.directories[f.name].Mirror.Backup
	case f.kind == kindEmbedded && a.server != nil:
		server := a.server
		write = func(w io.Writer) error { return server.Backup(ctx, w) }
	case f.kind == kindTimes && a.times != nil:
		write = func(w io.Writer) error {
			return a.times.DB().View(func(tx *bbolt.Tx) error {
				_, err := tx.WriteTo(w)
				return err
			})
		}
	default:
		// Nobody has it open, and nobody of this process opens it meanwhile.
		defer a.mu.Unlock()
		return writeCopy(target, func(w io.Writer) error { return boltfile.Copy(f.path, w) })
	}
	a.mu.Unlock()
	return writeCopy(target, write)
}

func writeCopy(target string, write func(w io.Writer) error) error {
	file, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // below the data directory
	if err != nil {
		return fmt.Errorf("make a copy: %w", err)
	}
	return errors.Join(write(file), file.Close())
}

// examine has a process of its own examine a file. The error is for what kept
// it from doing so.
func examine(ctx context.Context, f stateFile) (examined, error) {
	e := examined{stateFile: f}
	if info, err := os.Stat(f.path); err == nil {
		e.bytes = info.Size()
	}
	program, err := os.Executable()
	if err != nil {
		return e, fmt.Errorf("find this program: %w", err)
	}
	var out, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "state", "examine", f.kind, f.path) //nolint:gosec // this program
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err = cmd.Run()
	if ctx.Err() != nil {
		return e, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return e, fmt.Errorf("examine %s: %w", f.path, err)
	}
	text, said := strings.CutPrefix(strings.TrimSpace(stderr.String()), "vaultsync: ")
	switch {
	case err == nil && strings.TrimSpace(out.String()) == soundAnswer:
		e.result = "sound"
		return e, nil
	case !said:
		e.code, e.detail = exitDamaged, "reading it ends the process that does"
	default:
		e.code = cmd.ProcessState.ExitCode()
		e.detail, e.hint, _ = strings.Cut(text, "\n  try: ")
	}
	e.result = resultOf(e.code)
	if e.code == exitDamaged {
		e.hint = repairHint(f)
	}
	return e, nil
}

func resultOf(code int) string {
	switch code {
	case exitDamaged:
		return "damaged"
	case exitLocked:
		return "in use"
	default:
		return resultFailed
	}
}

func repairHint(f stateFile) string {
	if f.kind == kindEmbedded {
		return "stop the service and restore a backup: vaultsync state restore FILE"
	}
	return "vaultsync state repair"
}

// soundAnswer is what the examining process says when there is nothing to say.
const soundAnswer = "sound"

// stateExamineCommand is what a process of its own does for state check.
func stateExamineCommand(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "examine KIND FILE", Short: "Examine one file that nobody has open", Args: cobra.ExactArgs(2), Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := examineFile(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			_, err := fmt.Fprintln(s.out, soundAnswer)
			return err
		},
	}
}

func examineFile(ctx context.Context, kind, path string) error {
	if !exists(path) {
		return usageError{text: path + " does not exist"}
	}
	switch kind {
	case kindGuard:
		return examineGuard(path)
	case kindDirectory:
		return mirror.Check(path)
	case kindVault:
		return snapshot.Check(path)
	}
	if err := boltfile.Check(path); err != nil {
		return err
	}
	switch kind {
	case kindTimes:
		times, err := schedule.OpenFile(path)
		if err != nil {
			return err
		}
		_, err = times.Load()
		return errors.Join(err, times.Close())
	case kindEmbedded:
		server, err := embedded.Open(path, embedded.Options{})
		if err != nil {
			return err
		}
		return errors.Join(server.Verify(ctx), server.Close())
	default:
		return usageError{text: fmt.Sprintf("%q is no kind of state", kind)}
	}
}

// examineGuard reads the small file that the guard over all vaults keeps.
func examineGuard(path string) error {
	text, err := os.ReadFile(path) //nolint:gosec // in the data directory
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	var state reconcile.GuardState
	if err := json.Unmarshal(text, &state); err != nil {
		return &boltfile.Error{Path: path, Kind: boltfile.ErrDamaged, Err: err}
	}
	return nil
}

// sizeText is a size as people read it.
func sizeText(n int64) string {
	const unit = 1 << 10
	switch {
	case n < unit:
		return fmt.Sprintf("%d B", n)
	case n < unit*unit:
		return fmt.Sprintf("%d KiB", n/unit)
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/(unit*unit))
	}
}
