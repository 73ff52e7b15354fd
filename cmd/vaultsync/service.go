package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/observe"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/service"
)

// aliveWithin is how long the scheduler may be silent before the watchdog
// takes the daemon for hung: it looks at least every half minute.
const aliveWithin = 2 * time.Minute

// runService runs the daemon under the service manager. The manager is answered
// before anything is read, so that a configuration that is wrong or gone is said
// in the system's log, where an administrator looks, and not by a start that
// never ends.
func (s *session) runService(ctx context.Context) error {
	write, closeLog, err := service.OpenLog()
	if err != nil {
		return err
	}
	defer closeLog() //nolint:errcheck // the process ends
	logger := func(level, format string) *slog.Logger {
		if write == nil {
			return observe.NewLogger(s.err, level, format)
		}
		return observe.NewSystemLogger(write, level, format)
	}
	code, err := service.Run(ctx, func(ctx context.Context, ready func()) int {
		err := s.serve(ctx, logger, ready)
		code := serviceCode(exitCode(ctx, err))
		if err != nil && ctx.Err() != nil && code == exitInterrupted {
			return exitDone // it was told to stop, and has
		}
		if err != nil {
			logger("", "").Error("vaultsync ends", "error", err, "hint", hintOf(err), "exitCode", code)
		}
		return code
	})
	if err != nil {
		return err
	}
	return codeError(code)
}

// exitServiceUsage is exitUsage of a service (EX_CONFIG of sysexits.h). A Go
// program that crashes, or that the watchdog ends, exits with 2 as well: the
// service manager must start that again, and leave the other alone.
const exitServiceUsage = 78

func serviceCode(code int) int {
	if code == exitUsage {
		return exitServiceUsage
	}
	return code
}

// serve is the daemon as the service manager runs it.
func (s *session) serve(ctx context.Context, logger func(level, format string) *slog.Logger, ready func()) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	log := logger(cfg.Log.Level, cfg.Log.Format)
	notifier := service.NewNotifier(os.Getenv, os.Getpid())
	tell := func(err error) {
		if err != nil {
			log.Warn("systemd cannot be told", "error", err)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(ctx, func() { tell(notifier.Stopping()) })
	logged := logRun(log)
	told := func(r reconcile.Report, err error) {
		logged(r, err)
		tell(notifier.Status(statusLine(r, err, time.Now())))
	}
	return runDaemon(ctx, cfg, s.load, log, told, func(d *daemon) {
		ready()
		go d.reloadOnHangup(ctx)
		log.Info("vaultsync is running", "vaults", len(cfg.Vaults), "dataDir", cfg.DataDir)
		tell(notifier.Ready("no run yet"))
		go func() {
			tell(notifier.Watch(ctx, func() bool { return time.Since(d.runner.LastTurn()) < aliveWithin }))
		}()
	})
}

// statusLine is what `systemctl status` shows between runs.
func statusLine(r reconcile.Report, err error, now time.Time) string {
	outcome := string(r.Outcome) + ", " + countsText(r.Counts)
	if err != nil {
		outcome = string(reconcile.Failed)
	}
	return fmt.Sprintf("last run: %s at %s, %s", r.Vault, now.Format("15:04:05"), outcome)
}

// reloadOnHangup reads the configuration again on SIGHUP, as systemd's reload
// sends it.
func (d *daemon) reloadOnHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			if err := d.reload(ctx); err != nil {
				d.log.Error("the configuration was not read again", "error", err)
			}
		}
	}
}

func serviceCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "service", Short: "Install, remove, start, stop the Windows service or systemd unit",
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var account string
	install := &cobra.Command{
		Use: "install", Short: "Register the service, to be started at boot", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := s.installation(account)
			if err != nil {
				return err
			}
			if err := service.NewManager().Install(cmd.Context(), i); err != nil {
				return err
			}
			fmt.Fprintln(s.out, "installed; start it with: vaultsync service start") //nolint:errcheck // a remark
			return nil
		},
	}
	install.Flags().StringVar(&account, "account", "", "the Windows `ACCOUNT` that the service runs as (default: LocalSystem)")
	verb := func(use, short, done string, work func(service.Manager, context.Context) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			if err := work(service.NewManager(), cmd.Context()); err != nil {
				return err
			}
			fmt.Fprintln(s.out, done) //nolint:errcheck // a remark
			return nil
		}}
	}
	status := &cobra.Command{
		Use: "status", Short: "Say whether the service runs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, err := service.NewManager().Query(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintln(s.out, state) //nolint:errcheck // a remark
			return nil
		},
	}
	cmd.AddCommand(install,
		verb("uninstall", "Stop and remove the service; configuration and state stay", "removed; configuration and state are where they were", service.Manager.Uninstall),
		verb("start", "Start the service", "started", service.Manager.Start),
		verb("stop", "Stop the service at its next safe point", "stopped", service.Manager.Stop),
		status)
	return cmd
}

// installation is what the service's command line and unit name.
func (s *session) installation(account string) (service.Installation, error) {
	cfg, err := s.load()
	if err != nil {
		return service.Installation{}, err
	}
	executable, err := os.Executable()
	if err != nil {
		return service.Installation{}, fmt.Errorf("find this program: %w", err)
	}
	file, err := filepath.Abs(cfg.Path)
	if err != nil {
		return service.Installation{}, fmt.Errorf("find the configuration: %w", err)
	}
	i := service.Installation{Executable: executable, ConfigFile: file, DataDir: cfg.DataDir, Account: account}
	for _, secret := range secretFiles(cfg) {
		if secret != "" && !slices.Contains(i.Credentials, secret) {
			i.Credentials = append(i.Credentials, secret)
		}
	}
	i.Files = append(i.Files, file, cfg.VaultsDir)
	for _, d := range cfg.Directories {
		i.Files = append(i.Files, d.CAFile)
	}
	for _, v := range cfg.Vaults {
		i.Files = append(i.Files, v.File)
		if v.Store.SCIM != nil {
			i.Files = append(i.Files, v.Store.SCIM.CAFile)
		}
	}
	i.Files = slices.DeleteFunc(i.Files, func(f string) bool { return f == "" })
	return i, nil
}

// secretFiles are all files of the configuration that hold a secret.
func secretFiles(cfg *config.Config) []string {
	var files []string
	for _, d := range cfg.Directories {
		files = append(files, d.Credential.SecretFile, d.Credential.CertificateFile, d.Credential.CertificatePasswordFile)
	}
	for _, v := range cfg.Vaults {
		if v.Store.SCIM == nil {
			continue
		}
		files = append(files, v.Store.SCIM.TokenFile)
		if v.Store.SCIM.OAuth != nil {
			files = append(files, v.Store.SCIM.OAuth.SecretFile)
		}
	}
	return files
}
