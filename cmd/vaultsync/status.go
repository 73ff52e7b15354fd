package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/schedule"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// vaultStatus is one vault (contract.md, status --json).
type vaultStatus struct {
	Vault       string            `json:"vault"`
	State       string            `json:"state"` // waiting | running | held | backingOff | failing | paused | removed
	FirstImport *time.Time        `json:"firstImport"`
	LastRun     *reconcile.Report `json:"lastRun"`
	LastSuccess *time.Time        `json:"lastSuccess"`
	NextRun     *time.Time        `json:"nextRun"`
	Held        *heldStatus       `json:"held"`
	Drift       int               `json:"drift"`
	Problem     string            `json:"problem"`
	// Daemon says whether the times come from a running daemon.
	Daemon bool `json:"daemon"`
	// Since is when the problem began.
	Since *time.Time `json:"since,omitempty"`
	// DirectoryHeld is what the server's guard holds over all vaults of the
	// vault's directory.
	DirectoryHeld *directoryHeld `json:"directoryHeld,omitempty"`

	// Throttled says that the vault's directory asks for patience.
	Throttled *throttled `json:"throttled,omitempty"`

	changes []snapshot.HeldChange
	code    int
}

type throttled struct {
	Directory string     `json:"directory"`
	Since     time.Time  `json:"since"`
	NextTry   *time.Time `json:"nextTry"`
}

type heldStatus struct {
	Plan    string    `json:"plan"`
	Changes int       `json:"changes"`
	Guards  []string  `json:"guards"`
	Since   time.Time `json:"since"`
}

type directoryHeld struct {
	Directory string    `json:"directory"`
	Plan      string    `json:"plan"`
	People    int       `json:"people"`
	Text      string    `json:"text"`
	Since     time.Time `json:"since"`
}

func statusCommand(s *session) *cobra.Command {
	var asJSON, check bool
	cmd := &cobra.Command{
		Use:   "status [VAULT]",
		Short: "Show last and next run, what is held, what waits, and why",
		Long: `Shows for each vault the last and the next run, its outcome and counts, what
guards hold, who waits and why. Exits with 0; with --check with the code of the
gravest vault, for monitoring. A vault whose file was taken out of the
configuration shows as removed: its state is kept.`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			line := append([]string{"status"}, args...)
			if asJSON {
				line = append(line, "--json")
			}
			if check {
				line = append(line, "--check")
			}
			return s.do(cmd.Context(), call{args: line, work: func(ctx context.Context, a *app) error {
				return s.status(ctx, a, args, asJSON, check)
			}})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a vault, one a line")
	cmd.Flags().BoolVar(&check, "check", false, "exit with the code of the gravest vault")
	return cmd
}

func (s *session) status(_ context.Context, a *app, args []string, asJSON, check bool) error {
	all, err := a.statusOf(args)
	if err != nil {
		return err
	}
	worst := exitDone
	for _, st := range all {
		worst = gravest(worst, st.code)
		if asJSON {
			if err := printJSON(s.out, st); err != nil {
				return err
			}
			continue
		}
		printStatus(s.out, st, len(args) == 1)
	}
	if check {
		return codeError(worst)
	}
	return nil
}

// phases is what the daemon's runner says of the vaults, nil without a daemon.
func (a *app) phases() map[string]schedule.Status {
	if a.runner == nil {
		return nil
	}
	all := map[string]schedule.Status{}
	for _, st := range a.runner.State() {
		all[st.Name] = st
	}
	return all
}

// vaultStatus puts together what the vault's state and the daemon know.
func (a *app) vaultStatus(name string, phases map[string]schedule.Status) vaultStatus {
	st := vaultStatus{Vault: name, State: "waiting"}
	v, err := a.vault(name)
	var meta snapshot.Meta
	if err == nil {
		meta, err = v.Snapshot.Meta()
	}
	if err != nil {
		st.State, st.Problem, st.code = "failing", err.Error(), exitCode(context.Background(), err)
	}
	st.Drift = meta.Drift
	st.LastSuccess = timeOrNil(meta.LastSuccess)
	var last reconcile.Report
	if len(meta.LastRun) > 0 && json.Unmarshal(meta.LastRun, &last) == nil {
		st.LastRun = &last
	}
	if live := a.lastReport(name); live.Started.After(last.Started) && !live.DryRun {
		st.LastRun = &live
		if live.Outcome != reconcile.Failed {
			st.LastSuccess = timeOrNil(live.Finished)
		}
	}
	if st.LastRun != nil {
		st.describe(*st.LastRun, meta)
	}
	if st.LastRun != nil && st.LastRun.Outcome == reconcile.Failed {
		st.Since = timeOrNil(cmp.Or(last.Since, st.LastRun.Started))
	}
	if err == nil {
		st.describeDirectory(v.Directory)
	}
	if phase, ok := phases[name]; ok {
		st.describePhase(phase)
	} else if past, err := a.pasts(); err == nil {
		if past[name].Paused {
			st.State = "paused"
		}
		st.FirstImport = timeOrNil(past[name].Imported)
	}
	return st
}

func (st *vaultStatus) describe(last reconcile.Report, meta snapshot.Meta) {
	switch last.Outcome {
	case reconcile.Failed:
		st.State, st.Problem, st.code = "failing", last.Error, cmp.Or(last.Code, exitFailed)
	case reconcile.Partial:
		st.Problem, st.code = fmt.Sprintf("%d people or groups wait", faultsIn(last.Waiting)), exitPartial
	case reconcile.OK, reconcile.Held:
	}
	if meta.Held != nil {
		st.State = "held"
		st.Held = &heldStatus{Plan: meta.Held.Digest, Changes: len(meta.Held.Changes), Guards: meta.Held.Guards, Since: meta.Held.Since}
		st.changes = meta.Held.Changes
		if st.Problem == "" {
			st.Problem = fmt.Sprintf("%d changes wait for approval", len(meta.Held.Changes))
		}
		st.code = gravest(st.code, exitHeld)
	}
}

// describeDirectory adds what the directory itself knows: since when it fails,
// and what its guard holds.
func (st *vaultStatus) describeDirectory(d *reconcile.Directory) {
	if since, problem := d.Problem(); problem != nil {
		st.Problem, st.Since = problem.Error(), timeOrNil(since)
	}
	if since, until := d.Throttled(); !since.IsZero() {
		st.Throttled = &throttled{Directory: d.Name, Since: since, NextTry: timeOrNil(until)}
	}
	state, err := d.GuardState()
	if err != nil || state.Held == nil {
		return
	}
	st.DirectoryHeld = &directoryHeld{
		Directory: d.Name, Plan: state.Held.Digest, People: len(state.Held.People), Text: state.Held.Text, Since: state.Held.Since,
	}
}

func (st *vaultStatus) describePhase(phase schedule.Status) {
	st.Daemon = true
	st.FirstImport, st.NextRun = timeOrNil(phase.FirstImport), timeOrNil(phase.Next)
	switch phase.Phase {
	case schedule.Running, schedule.Preparing, schedule.Queued:
		st.State = "running"
	case schedule.Paused:
		st.State = "paused"
	case schedule.BackingOff:
		st.State = "backingOff"
	case schedule.Waiting:
	}
	if phase.Err != nil {
		st.Problem = phase.Err.Error()
		st.code = gravest(st.code, exitCode(context.Background(), phase.Err))
	}
}

func (st *vaultStatus) lastRunAt() time.Time {
	if st.LastRun == nil {
		return time.Time{}
	}
	return st.LastRun.Started
}

func (st *vaultStatus) lastSuccessAt() time.Time {
	if st.LastSuccess == nil {
		return time.Time{}
	}
	return *st.LastSuccess
}

func faultsIn(notes []plan.Note) int {
	n := 0
	for _, note := range notes {
		if note.Kind.Fault() {
			n++
		}
	}
	return n
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// pasts are the run times that the daemon has left behind.
func (a *app) pasts() (map[string]schedule.Past, error) {
	times, err := schedule.OpenFile(a.timesPath())
	if err != nil {
		return nil, err
	}
	past, err := times.Load()
	return past, errors.Join(err, times.Close())
}

func (a *app) timesPath() string { return filepath.Join(a.cfg.DataDir, "schedule.db") }

func printStatus(w io.Writer, st vaultStatus, detailed bool) {
	show := func(format string, args ...any) { fmt.Fprintf(w, format, args...) } //nolint:errcheck // terminal output
	show("%s: %s\n", st.Vault, st.State)
	if st.LastRun != nil {
		r := st.LastRun
		show("  last run   %s  %s (%s): %s\n", local(r.Started), r.Outcome, r.Mode, countsText(r.Counts))
	} else {
		show("  last run   never\n")
	}
	if st.FirstImport != nil && st.LastSuccess == nil {
		show("  first import %s\n", local(*st.FirstImport))
	}
	if st.NextRun != nil {
		show("  next run   %s\n", local(*st.NextRun))
	} else if !st.Daemon && st.State != removedState {
		show("  next run   the daemon is not running\n")
	}
	if st.Problem != "" {
		show("  problem    %s\n", printable(st.Problem))
	}
	if st.Since != nil {
		show("  since      %s\n", local(*st.Since))
	}
	if t := st.Throttled; t != nil {
		var next time.Time
		if t.NextTry != nil {
			next = *t.NextTry
		}
		show("  directory  %s%s\n", t.Directory, throttledText(t.Since, next))
	}
	if st.Drift > 0 {
		show("  drift      %d differences made by hand\n", st.Drift)
	}
	if st.Held != nil {
		show("  held       %d changes since %s by %v\n", st.Held.Changes, local(st.Held.Since), st.Held.Guards)
		show("             approve: vaultsync approve %s %s\n", st.Vault, st.Held.Plan)
	}
	if st.DirectoryHeld != nil {
		show("  directory  %s\n", st.DirectoryHeld.Text)
		show("             approve: vaultsync approve --directory %s %s\n", st.DirectoryHeld.Directory, st.DirectoryHeld.Plan)
	}
	most := 3
	if detailed {
		most = 10000
	}
	for i, c := range st.changes {
		if i == most {
			show("             … and %d more: vaultsync status %s\n", len(st.changes)-most, st.Vault)
			break
		}
		show("             %s %s %s [%s]\n", c.Kind, printable(c.Login), printable(c.Group), printable(c.Why))
	}
	if st.LastRun != nil {
		printNotes(w, st.LastRun.Waiting, most, st.Vault)
	}
}

func local(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
