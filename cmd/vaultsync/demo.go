package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/configs"
	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/observe"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/schedule"
)

// changeEvery is how often something happens by itself in the demo's tenant.
const changeEvery = 15 * time.Second

func demoCommand(s *session) *cobra.Command {
	var dir, listen string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try vaultsync: a simulated tenant, sample vaults, the daemon",
		Long: `Starts a simulated tenant of some thousand people on this machine, writes the
sample configuration for it, and runs the daemon on three vaults that begin at
different times. People join, leave and change by themselves; every run follows.
Nothing outside the folder is touched; Ctrl-C ends it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.demo(cmd.Context(), dir, listen) },
	}
	cmd.Flags().StringVar(&dir, "dir", "", "keep configuration and state in `DIR` (default: a temporary folder, removed at the end)")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "the `ADDRESS` of health, metrics and status")
	return cmd
}

func (s *session) demo(ctx context.Context, dir, listen string) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "vaultsync-demo-"); err != nil {
			return fmt.Errorf("make a folder for the demo: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("find the demo's folder: %w", err)
	}
	tenant := entrasim.Demo()
	if err := demoFolder(dir); err != nil {
		return err
	}
	server, err := entrasim.Start(entrasim.Options{CAFile: filepath.Join(dir, "demo-ca.pem"), Admin: true}, tenant)
	if err != nil {
		return fmt.Errorf("start the simulated tenant: %w", err)
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	file, err := writeDemo(dir, server.URL(), listen)
	if err != nil {
		return err
	}
	load := func() (*config.Config, error) { return config.Load(file, config.Overrides{}) }
	cfg, err := load()
	if err != nil {
		return err
	}
	say := s.sayer()
	people, groups, memberships := tenant.Size()
	say("A simulated tenant of %d people, %d groups and %d memberships answers at %s.", people, groups, memberships, server.URL())
	say("Configuration and state are in %s.", dir)
	told := func(r reconcile.Report, err error) {
		if err != nil {
			say("%s: the run failed: %v", r.Vault, err)
			return
		}
		say("%s: %s run, %s: %s", r.Vault, r.Mode, r.Outcome, countsText(r.Counts))
		for _, t := range r.Guards {
			say("%s: held by the guard %s: %s", r.Vault, t.Guard, t.Text)
		}
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	log := observe.NewLogger(s.err, slog.LevelWarn.String(), "text")
	return runDaemon(ctx, cfg, load, log, told, func(d *daemon) {
		sayFirstImports(cfg, time.Now(), say)
		say("Look further from another terminal:")
		for _, command := range []string{"status", "vault users sales", "plan sales", "log sales", "sync --all"} {
			say("  vaultsync -c %s %s", file, command)
		}
		wait.Go(func() { changeTenant(ctx, tenant, say) })
	})
}

// sayFirstImports says when each vault begins.
func sayFirstImports(cfg *config.Config, now time.Time, say func(string, ...any)) {
	var names []string
	for _, v := range cfg.Vaults {
		names = append(names, v.Name)
	}
	places := schedule.Places(names)
	for _, v := range cfg.Vaults {
		timing, err := schedule.NewTiming(v.Schedule)
		if err != nil {
			continue // the runner has said so
		}
		say("%s: first import at %s, then %s.", v.Name, timing.First(now, places[v.Name]).Local().Format("15:04:05"), "every "+v.Schedule.Every.String())
	}
}

// sayer prints sentences with the time, one at a time.
func (s *session) sayer() func(format string, args ...any) {
	var mu sync.Mutex
	return func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(s.out, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...)) //nolint:errcheck // terminal output
	}
}

// changeTenant lets something happen in the tenant now and then.
func changeTenant(ctx context.Context, tenant *entrasim.Tenant, say func(string, ...any)) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same story every time
	ticker := time.NewTicker(changeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			say("In the tenant: %s", tenant.DemoChange(random))
		}
	}
}

// demoMarker marks a folder that a demo may write over.
const demoMarker = ".vaultsync-demo"

// demoFolder makes the folder, or takes one that an earlier demo has left.
func demoFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return usageError{text: fmt.Sprintf("the demo's folder cannot be read: %v", err)}
	}
	if _, err := os.Stat(filepath.Join(dir, demoMarker)); err != nil && len(entries) > 0 {
		return usageError{text: fmt.Sprintf("%s is not empty and not a demo's", dir), hint: "name a new folder with --dir"}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return usageError{text: fmt.Sprintf("the demo's folder cannot be made: %v", err)}
	}
	if err := os.WriteFile(filepath.Join(dir, demoMarker), nil, 0o600); err != nil {
		return usageError{text: fmt.Sprintf("the demo's folder cannot be written: %v", err)}
	}
	return nil
}

// writeDemo writes the samples of configs for the simulated tenant: its
// addresses, a short interval, and first imports within the first minute.
func writeDemo(dir, url, listen string) (string, error) {
	replace := strings.NewReplacer(
		`graph: ""`, `graph: "`+url+`"`, `authority: ""`, `authority: "`+url+`"`,
		`caFile: ""`, `caFile: "demo-ca.pem"`, `freshness: 1m`, `freshness: 1s`, `count: 200}`, `count: 600}`, `listen: 127.0.0.1:8390`, `listen: "`+listen+`"`,
		`every: 15m`, `every: 1m`, `every: 6h`, `every: 1m`, `cron: "*/15 6-20 * * MON-FRI"`, `every: 1m`,
		`startTimeOfFirstImport: "02:30"`, `startTimeOfFirstImport: "+25s"`,
	)
	err := fs.WalkDir(configs.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(path))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		text, err := configs.Files.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, []byte(replace.Replace(string(text))), 0o600)
	})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "contoso.secret"), []byte(demoSecret()), 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("write the demo's configuration: %w", err)
	}
	return filepath.Join(dir, "vaultsync.yaml"), nil
}

// demoSecret is what the simulated tenant lets the demo sign in with.
func demoSecret() string { return entrasim.DemoApp().Secrets[0].Value }
