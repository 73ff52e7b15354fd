package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/control"
)

// The results of one line of a check.
const (
	resultOK      = "ok"
	resultWarning = "warning"
	resultFailed  = "failed"
)

// finding is one line of a check (check --json, one a line).
type finding struct {
	// About is the configuration, the daemon, a directory or a vault.
	About  string `json:"about"`
	Check  string `json:"check"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
	// Code is the exit code that a failure stands for.
	Code int `json:"code"`
}

// checkup is one check in the making.
type checkup struct {
	cfg *config.Config
	// app is nil when the state is somebody else's just now: then nothing is
	// said about it.
	app *app
	now time.Time
	// pooled says that the embedded server's licences have been told.
	pooled   bool
	findings []finding
}

func (c *checkup) ok(about, check, format string, args ...any) {
	c.findings = append(c.findings, finding{About: about, Check: check, Result: resultOK, Detail: fmt.Sprintf(format, args...)})
}

func (c *checkup) warn(about, check, detail, fix string) {
	c.findings = append(c.findings, finding{About: about, Check: check, Result: resultWarning, Detail: detail, Fix: fix})
}

func (c *checkup) fail(code int, about, check, detail, fix string) {
	c.findings = append(c.findings, finding{About: about, Check: check, Result: resultFailed, Detail: detail, Fix: fix, Code: code})
}

// failed is a failure that an error tells of.
func (c *checkup) failed(ctx context.Context, about, check string, err error) {
	c.fail(exitCode(ctx, err), about, check, err.Error(), hintOf(err))
}

// code is the gravest of all failures; warnings have none.
func (c *checkup) code() int {
	worst := exitDone
	for _, f := range c.findings {
		worst = gravest(worst, f.Code)
	}
	return worst
}

func checkCommand(s *session) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [VAULT]",
		Short: "Try everything that a run needs, and say what to fix",
		Long: `Tries everything that a run needs and changes nothing: the configuration, the
files of secrets and state, the sign-in to each directory, the permissions that
it has, lacks or does not need, every configured group by id and name, and the
user store of each vault. Through the running daemon when there is one with the
same configuration, so that what is tried is what the service can do.

  0  everything works; there may be warnings
  2  the configuration is wrong: a key, a file, a group that does not exist, a
     store or tenant that the state does not belong to
  5  a directory or store is out of reach, refuses the sign-in, or a permission
     is missing
  6, 7  the state is in use or damaged`,
		Example: `  vaultsync check
  vaultsync check sales --json`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error { return s.check(cmd.Context(), args, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line of the table, one a line")
	return cmd
}

func (s *session) check(ctx context.Context, args []string, asJSON bool) error {
	c := &checkup{now: time.Now()}
	if s.daemon != nil {
		c.cfg, c.app = s.daemon.cfg, s.daemon
		c.ok("daemon", "configuration", "the running daemon has this configuration")
		return s.finishCheck(ctx, c, args, asJSON)
	}
	cfg, err := s.load()
	if err != nil {
		c.configurationProblems(ctx, err)
		return errors.Join(s.printFindings(c.findings, asJSON, len(args) > 0), codeError(c.code()))
	}
	c.cfg = cfg
	line := append([]string{"check"}, args...)
	if asJSON {
		line = append(line, "--json")
	}
	code, err := control.Call(ctx, endpoint(cfg), control.Request{Args: line, ConfigDigest: cfg.Digest, StdoutTerminal: s.outTerminal, StderrTerminal: s.errTerminal}, s.out, s.err)
	switch {
	case err == nil:
		return codeError(code)
	case errors.Is(err, control.ErrOtherConfig):
		c.warn("daemon", "configuration", "the running daemon has another configuration; its state is left alone", "take this one over with vaultsync reload")
	case !errors.Is(err, control.ErrNoDaemon):
		c.failed(ctx, "daemon", "connection", err)
	default:
		c.ok("daemon", "connection", "no daemon is running; this process looks for itself")
		if c.app, err = openApp(cfg, s.logger(cfg)); err != nil {
			c.failed(ctx, "configuration", "state", err)
			break
		}
		defer c.app.Close() //nolint:errcheck // nothing was written
	}
	return s.finishCheck(ctx, c, args, asJSON)
}

// configurationProblems has a line for each problem of the files.
func (c *checkup) configurationProblems(ctx context.Context, err error) {
	var problems config.Problems
	if !errors.As(err, &problems) {
		c.failed(ctx, "configuration", "files", err)
		return
	}
	for _, p := range problems {
		where := p.File
		if p.Line > 0 {
			where = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
		}
		c.fail(exitUsage, "configuration", where, strings.TrimPrefix(p.Key+": "+p.Message, ": "), p.Fix)
	}
}

// finishCheck looks at everything but the files of the configuration.
func (s *session) finishCheck(ctx context.Context, c *checkup, args []string, asJSON bool) error {
	vaults := c.cfg.Vaults
	if len(args) > 0 {
		v, ok := c.cfg.Vault(args[0])
		if !ok {
			return (&app{cfg: c.cfg}).unknownVault(args[0])
		}
		vaults = []config.Vault{v}
	}
	c.ok("configuration", "files", "%s: %d directories, %d vaults, nothing wrong", c.cfg.Path, len(c.cfg.Directories), len(c.cfg.Vaults))
	if len(c.cfg.Vaults) == 0 {
		c.warn("configuration", "vaults", "no vault is configured: nothing will be synchronized", "put one YAML file a vault into "+c.cfg.VaultsDir)
	}
	c.dataFolder()
	for _, d := range c.cfg.Directories {
		used := slices.ContainsFunc(vaults, func(v config.Vault) bool { return v.Directory == d.Name })
		if used || len(args) == 0 {
			c.directory(ctx, d, vaults, s)
		}
	}
	for _, v := range vaults {
		c.vaultSecrets(v)
		c.vaultState(ctx, v)
		c.vaultStore(ctx, v)
	}
	return errors.Join(s.printFindings(c.findings, asJSON, len(args) > 0), codeError(c.code()))
}

// rowsAtMost is how many lines a table has before those of vaults with which
// nothing is wrong are left out.
const rowsAtMost = 100

// printFindings prints the table and what it comes to.
func (s *session) printFindings(findings []finding, asJSON, all bool) error {
	if asJSON {
		for _, f := range findings {
			if err := printJSON(s.out, f); err != nil {
				return err
			}
		}
		return nil
	}
	counts := map[string]int{}
	left := 0
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tRESULT\tDETAIL") //nolint:errcheck // Flush reports it
	for _, f := range findings {
		counts[f.Result]++
		if f.Result == resultOK && !all && len(findings) > rowsAtMost && strings.HasPrefix(f.About, "vault ") {
			left++
			continue
		}
		fmt.Fprintf(table, "%s: %s\t%s\t%s\n", printable(f.About), printable(f.Check), f.Result, printable(f.Detail)) //nolint:errcheck // Flush reports it
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return printFixes(s.out, findings, counts, left)
}

func printFixes(w io.Writer, findings []finding, counts map[string]int, left int) error {
	var b strings.Builder
	if left > 0 {
		fmt.Fprintf(&b, "… and %d lines about vaults with which nothing is wrong: vaultsync check VAULT, or --json\n", left)
	}
	title := "\nWhat to do:\n"
	for _, f := range findings {
		if f.Fix == "" || f.Result == resultOK {
			continue
		}
		fmt.Fprintf(&b, "%s  %s: %s: %s\n", title, printable(f.About), printable(f.Check), printable(f.Fix))
		title = ""
	}
	fmt.Fprintf(&b, "\n%d ok, %d warnings, %d failed\n", counts[resultOK], counts[resultWarning], counts[resultFailed])
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
