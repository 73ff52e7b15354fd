package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/schedule"
)

// syncFlags are the flags of sync.
type syncFlags struct {
	all, full, dryRun, recreate, json bool
	user                              string
}

func (f syncFlags) args(names []string) []string {
	args := append([]string{"sync"}, names...)
	for name, set := range map[string]bool{"--all": f.all, "--full": f.full, "--dry-run": f.dryRun, "--recreate": f.recreate, "--json": f.json} {
		if set {
			args = append(args, name)
		}
	}
	if f.user != "" {
		args = append(args, "--user", f.user)
	}
	return args
}

func syncCommand(s *session) *cobra.Command {
	var f syncFlags
	cmd := &cobra.Command{
		Use:   "sync VAULT… | --all",
		Short: "Synchronize vaults now, whatever their schedule says",
		Long: `Makes one run of each vault now: through the running daemon when there is one,
otherwise in this process. The exit code is the gravest of all vaults:

  0 done   3 some people failed or wait   4 a guard holds changes
  5 directory or store out of reach, nothing changed   1 failed
  2 usage, configuration   6 state in use   7 state damaged   130 interrupted`,
		Example: `  vaultsync sync sales
  vaultsync sync --all --dry-run
  vaultsync sync sales --full
  vaultsync sync sales --user ann@contoso.com --recreate`,
		ValidArgsFunction: s.completeVaults,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case f.all == (len(args) > 0):
				return usageError{text: "sync: name the vaults, or --all", hint: "vaultsync sync VAULT… | --all"}
			case f.user != "" && (f.all || len(args) != 1):
				return usageError{text: "sync: --user goes with one vault", hint: "vaultsync sync VAULT --user LOGIN"}
			case f.recreate && f.user == "":
				return usageError{text: "sync: --recreate says whose account to make again with --user", hint: "vaultsync sync VAULT --user LOGIN --recreate"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.do(cmd.Context(), call{args: f.args(args), work: func(ctx context.Context, a *app) error {
				return s.sync(ctx, a, args, f)
			}})
		},
	}
	cmd.Flags().BoolVar(&f.all, "all", false, "all vaults")
	cmd.Flags().BoolVar(&f.full, "full", false, "read directory and vault in full and compare them")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().StringVar(&f.user, "user", "", "one person alone, by `LOGIN` name or object id")
	cmd.Flags().BoolVar(&f.recreate, "recreate", false, "make the account again although it was deleted in the vault by hand")
	cmd.Flags().BoolVar(&f.json, "json", false, "one JSON object a vault, one a line")
	return cmd
}

// sync runs vaults, as many at once as the configuration says, and prints each
// report as it comes.
func (s *session) sync(ctx context.Context, a *app, args []string, f syncFlags) error {
	names, err := a.names(args, f.all)
	if err != nil {
		return err
	}
	asked := a.time() // the vaults of a directory share what is read of it from now on
	var (
		mu    sync.Mutex
		wait  sync.WaitGroup
		worst = exitDone
		slots = make(chan struct{}, max(1, a.cfg.Concurrency))
	)
	for _, name := range names {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			report, err := s.syncOne(ctx, a, name, asked, f)
			mu.Lock()
			defer mu.Unlock()
			worst = gravest(worst, reportCode(ctx, report, err))
			if printErr := s.printReport(report, err, f); printErr != nil {
				worst = gravest(worst, exitFailed)
			}
		})
	}
	wait.Wait()
	if worst == exitDone {
		return nil
	}
	return exitError{worst}
}

func (s *session) syncOne(ctx context.Context, a *app, name string, asked time.Time, f syncFlags) (reconcile.Report, error) {
	progress := s.newProgress(name)
	defer progress.end()
	defer a.watch(name, progress.show)()
	o := reconcile.Options{Full: f.full, DryRun: f.dryRun, ByHand: true, Recreate: f.recreate, Asked: asked}
	if f.user != "" {
		v, err := a.vault(name)
		if err != nil {
			return failedReport(name, err), err
		}
		if o.Person, err = a.personID(v, f.user); err != nil {
			return failedReport(name, err), usageError{text: err.Error()}
		}
	}
	return a.now(ctx, name, o, func() { fmt.Fprintf(s.err, "%s: a run is under way, waiting for it\n", name) }) //nolint:errcheck // a remark
}

// now makes a run at once: through the daemon's runner when there is one, so
// that a vault has one run at a time. A plain run joins one under way.
func (a *app) now(ctx context.Context, name string, o reconcile.Options, joined func()) (reconcile.Report, error) {
	if a.runner == nil {
		return a.run(ctx, name, o)
	}
	if o.Person.IsZero() && !o.DryRun && o.Approve == nil && o.Only == nil && o.Reject == nil {
		err := a.runner.TriggerOrJoin(ctx, name, schedule.Kind{Full: o.Full, ByHand: true, Asked: o.Asked}, joined)
		return a.lastReport(name), err
	}
	var report reconcile.Report
	err := a.runner.Do(ctx, name, func(ctx context.Context) error {
		var err error
		report, err = a.run(ctx, name, o)
		return err
	})
	return report, err
}

func failedReport(name string, err error) reconcile.Report {
	return reconcile.Report{Vault: name, Outcome: reconcile.Failed, Error: err.Error()}
}

// reportCode is the exit code of one run.
func reportCode(ctx context.Context, report reconcile.Report, err error) int {
	if err != nil {
		return exitCode(ctx, err)
	}
	switch report.Outcome {
	case reconcile.OK:
		return exitDone
	case reconcile.Partial:
		return exitPartial
	case reconcile.Held:
		return exitHeld
	case reconcile.Failed:
		return exitFailed
	default:
		return exitFailed
	}
}

func (s *session) printReport(report reconcile.Report, err error, f syncFlags) error {
	if err != nil {
		fmt.Fprintln(s.err, errorText(err)) //nolint:errcheck // nowhere left to say so
	}
	if f.json {
		return printJSON(s.out, report)
	}
	printReportText(s.out, report)
	return nil
}

func printJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	if _, err := fmt.Fprintf(w, "%s\n", b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
