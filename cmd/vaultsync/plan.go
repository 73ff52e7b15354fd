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
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/wholefile"
)

// planDocument is a plan as JSON and as a file (contract.md, plan --json).
type planDocument struct {
	reconcile.Report
	Plan    string        `json:"plan"`
	Changes []plan.Change `json:"changes"`
}

func documentOf(r reconcile.Report) planDocument {
	d := planDocument{Report: r, Plan: r.Plan.Digest(), Changes: r.Plan.Changes}
	if d.Changes == nil {
		d.Changes = []plan.Change{}
	}
	return d
}

func planCommand(s *session) *cobra.Command {
	var asJSON bool
	var file string
	cmd := &cobra.Command{
		Use:   "plan VAULT",
		Short: "Say what a run would do, with the reason of each change",
		Long: `Says what a run would do now, with the reason of each change and what guards
would hold. Writes nothing but the directory's local copy.`,
		Example: `  vaultsync plan sales
  vaultsync plan sales -o sales.plan && vaultsync apply sales.plan`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				return s.savePlan(cmd.Context(), args[0], file)
			}
			line := []string{"plan", args[0]}
			if asJSON {
				line = append(line, "--json")
			}
			return s.do(cmd.Context(), call{args: line, work: func(ctx context.Context, a *app) error {
				return s.plan(ctx, a, args[0], asJSON)
			}})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON document")
	cmd.Flags().StringVarP(&file, "output", "o", "", "write the plan to `FILE`, for vaultsync apply")
	return cmd
}

func (s *session) plan(ctx context.Context, a *app, name string, asJSON bool) error {
	names, err := a.names([]string{name}, false)
	if err != nil {
		return err
	}
	report, err := a.now(ctx, names[0], reconcile.Options{DryRun: true, ByHand: true}, func() {})
	if err != nil {
		if asJSON {
			return errors.Join(printJSON(s.out, report), err)
		}
		return err
	}
	if asJSON {
		err = printJSON(s.out, documentOf(report))
	} else {
		printPlanText(s.out, report)
	}
	return errors.Join(err, codeError(reportCode(ctx, report, nil)))
}

func codeError(code int) error {
	if code == exitDone {
		return nil
	}
	return exitError{code}
}

// savePlan writes the JSON document to a file, whole or not at all.
func (s *session) savePlan(ctx context.Context, name, file string) error {
	document, code := s.capture(ctx, "plan", name, "--json")
	if code != exitDone && code != exitPartial && code != exitHeld {
		return exitError{code}
	}
	if err := wholefile.WriteBytes(file, document); err != nil {
		return writeError("the plan", err)
	}
	fmt.Fprintf(s.err, "%s: the plan is in %s; make exactly these changes with vaultsync apply %s\n", name, file, file) //nolint:errcheck // a remark
	return codeError(code)
}

// writeError is an error of writing to a place that the administrator named:
// what is wrong is the place, or the disk.
func writeError(what string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return usageError{text: fmt.Sprintf("%s cannot be written: %v", what, err), hint: "name a folder that is there and that this account may write to"}
	}
	return fmt.Errorf("write %s: %w", what, err)
}

func applyCommand(s *session) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make exactly the changes of a saved plan, or refuse",
		Long: `Makes exactly the changes of a plan that vaultsync plan -o wrote. If one of them
is no longer due, or would find something else than the plan says, nothing is
done and that change is named. What the plan shows as held stays held.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := s.readInput(args[0])
			if err != nil {
				return err
			}
			var wanted planDocument
			if err := json.Unmarshal(text, &wanted); err != nil || wanted.Vault == "" || wanted.Plan == "" {
				return usageError{text: fmt.Sprintf("%s is not a plan", args[0]), hint: "vaultsync plan VAULT -o FILE"}
			}
			line := []string{"apply", "-"}
			if asJSON {
				line = append(line, "--json")
			}
			return s.do(cmd.Context(), call{args: line, input: text, work: func(ctx context.Context, a *app) error {
				return s.apply(ctx, a, wanted, asJSON)
			}})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON document")
	return cmd
}

// inputAtMost bounds a plan that is read: a million changes.
const inputAtMost = 1 << 30

func (s *session) readInput(file string) ([]byte, error) {
	if file == "-" {
		text, err := io.ReadAll(io.LimitReader(s.in, inputAtMost))
		if err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		return text, nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // the file that the administrator names
	if err != nil {
		return nil, usageError{text: fmt.Sprintf("the plan cannot be read: %v", err)}
	}
	return text, nil
}

func (s *session) apply(ctx context.Context, a *app, wanted planDocument, asJSON bool) error {
	names, err := a.names([]string{wanted.Vault}, false)
	if err != nil {
		return err
	}
	report, err := a.now(ctx, names[0], reconcile.Options{ByHand: true, Only: func(p *plan.Plan) error { return p.Restrict(wanted.Changes) }}, func() {})
	if printErr := s.printReport(report, nil, syncFlags{json: asJSON}); printErr != nil {
		return printErr
	}
	if err != nil {
		return err
	}
	return codeError(reportCode(ctx, report, nil))
}

func approveCommand(s *session) *cobra.Command {
	return decideCommand(s, "approve", "Release the changes that a guard holds",
		`Releases the held changes that status and plan show under a digest and that are
still due, once, and makes them now. What came later stays held under a new
digest. Without a digest it shows what is held and asks.`,
		(*reconcile.Vault).Approve)
}

func rejectCommand(s *session) *cobra.Command {
	return decideCommand(s, "reject", "Drop the changes that a guard holds",
		`Drops the held changes that status and plan show under a digest: they stay away
until those people's memberships or state change in the directory. For accounts
that vanished from the vault it means: make them again.`,
		(*reconcile.Vault).Reject)
}

type decision func(v *reconcile.Vault, ctx context.Context, digest string, run func(reconcile.Options) (reconcile.Report, error)) (reconcile.Report, error)

func decideCommand(s *session, verb, short, long string, decide decision) *cobra.Command {
	var asJSON bool
	var directory string
	cmd := &cobra.Command{
		Use: verb + " VAULT [PLAN]", Short: short, Long: long,
		Args: cobra.RangeArgs(0, 2), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			if directory != "" {
				return s.decideDirectory(cmd.Context(), verb, directory, args)
			}
			if len(args) == 0 {
				return usageError{text: verb + ": name the vault", hint: "vaultsync " + verb + " VAULT [PLAN]"}
			}
			digest := ""
			if len(args) == 2 {
				digest = args[1]
			} else {
				var err error
				if digest, err = s.ask(cmd.Context(), verb, args[0]); err != nil || digest == "" {
					return err
				}
			}
			line := []string{verb, args[0], digest}
			if asJSON {
				line = append(line, "--json")
			}
			return s.do(cmd.Context(), call{args: line, work: func(ctx context.Context, a *app) error {
				return s.decide(ctx, a, args[0], digest, asJSON, decide)
			}})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON document")
	cmd.Flags().StringVar(&directory, "directory", "", "what the server's guard holds over all vaults of the directory `NAME`")
	return cmd
}

// decideDirectory approves or rejects what the server's guard holds over all
// vaults of a directory, and runs those that wait for it.
func (s *session) decideDirectory(ctx context.Context, verb, name string, args []string) error {
	switch {
	case len(args) > 1:
		return usageError{text: verb + ": --directory NAME takes one digest and no vault", hint: "vaultsync " + verb + " --directory " + name + " [DIGEST]"}
	}
	line := append([]string{verb, "--directory", name}, args...)
	return s.do(ctx, call{args: line, work: func(ctx context.Context, a *app) error {
		d, err := a.directory(name)
		if err != nil {
			return err
		}
		state, err := d.GuardState()
		if err != nil {
			return err
		}
		if state.Held == nil {
			return fmt.Errorf("directory %s: %w", name, reconcile.ErrNothingDue)
		}
		if len(args) == 0 {
			fmt.Fprintf(s.out, "%s\n", state.Held.Text) //nolint:errcheck // terminal output
			return usageError{text: verb + ": name what to " + verb, hint: fmt.Sprintf("vaultsync %s --directory %s %s", verb, name, state.Held.Digest)}
		}
		if verb == "reject" {
			return s.rejectForDirectory(ctx, a, d, args[0])
		}
		n, err := d.Approve(args[0])
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%d people may leave the vaults of %s\n", n, name) //nolint:errcheck // a remark
		var vaults []string
		for _, v := range a.cfg.Vaults {
			if v.Directory == name {
				vaults = append(vaults, v.Name)
			}
		}
		return s.sync(ctx, a, vaults, syncFlags{})
	}})
}

// rejectForDirectory drops, vault by vault, what the server's guard holds.
func (s *session) rejectForDirectory(ctx context.Context, a *app, d *reconcile.Directory, digest string) error {
	if state, err := d.GuardState(); err != nil || state.Held == nil || state.Held.Digest != digest {
		return errors.Join(err, fmt.Errorf("directory %s: %w under %s", d.Name, reconcile.ErrNothingDue, digest))
	}
	worst := exitDone
	for _, v := range d.Imported() {
		meta, err := v.Snapshot.Meta()
		if err != nil {
			return err
		}
		var keys []string
		if meta.Held != nil {
			for _, c := range meta.Held.Changes {
				if c.Guard == plan.GuardDirectory {
					keys = append(keys, c.Key)
				}
			}
		}
		if len(keys) == 0 {
			continue
		}
		report, err := a.now(ctx, v.Name(), reconcile.Options{ByHand: true, Reject: keys}, func() {})
		worst = gravest(worst, reportCode(ctx, report, err))
		if err := s.printReport(report, err, syncFlags{}); err != nil {
			return err
		}
	}
	return codeError(worst)
}

func (s *session) decide(ctx context.Context, a *app, name, digest string, asJSON bool, decide decision) error {
	names, err := a.names([]string{name}, false)
	if err != nil {
		return err
	}
	v, err := a.vault(names[0])
	if err != nil {
		return err
	}
	report, err := decide(v, ctx, digest, func(o reconcile.Options) (reconcile.Report, error) { return a.now(ctx, names[0], o, func() {}) })
	if report.Vault != "" {
		if printErr := s.printReport(report, nil, syncFlags{json: asJSON}); printErr != nil {
			return printErr
		}
	}
	if err != nil {
		return err
	}
	return codeError(reportCode(ctx, report, nil))
}

// ask shows what is held and asks whether to go on; "" means no.
func (s *session) ask(ctx context.Context, verb, name string) (string, error) {
	out, code := s.capture(ctx, "status", name, "--json")
	if code != exitDone {
		return "", exitError{code}
	}
	var status vaultStatus
	if err := json.Unmarshal(out, &status); err != nil {
		return "", fmt.Errorf("read the status: %w", err)
	}
	if status.Held == nil {
		return "", fmt.Errorf("vault %s: %w", name, reconcile.ErrNothingDue)
	}
	if text, _ := s.capture(ctx, "status", name); text != nil {
		s.out.Write(text) //nolint:errcheck,gosec // terminal output
	}
	if !s.inTerminal {
		return "", usageError{text: verb + ": name what to " + verb, hint: fmt.Sprintf("vaultsync %s %s %s", verb, name, status.Held.Plan)}
	}
	fmt.Fprintf(s.err, "%s these %d changes? [y/N] ", verb, status.Held.Changes) //nolint:errcheck // a question
	answer, err := bufio.NewReader(s.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		fmt.Fprintln(s.err, "nothing was done") //nolint:errcheck // a remark
		return "", nil
	}
	return status.Held.Plan, nil
}
