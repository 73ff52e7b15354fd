package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/observe"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/service"
)

func (s *session) logger(cfg *config.Config) *slog.Logger {
	return observe.NewLogger(s.err, cfg.Log.Level, cfg.Log.Format)
}

func runCommand(s *session) *cobra.Command {
	var asService bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: `Runs the vaults when they are due and answers commands, until it is told to stop;
then ends at the next safe point. The service runs the same.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := s.load()
			if err != nil {
				return err
			}
			log := s.logger(cfg)
			if !asService {
				return runDaemon(cmd.Context(), cfg, s.load, log, logRun(log), func(d *daemon) {
					log.Info("vaultsync is running", "vaults", len(cfg.Vaults), "dataDir", cfg.DataDir, "pid", os.Getpid())
				})
			}
			return s.runService(cmd.Context(), cfg, log)
		},
	}
	cmd.Flags().BoolVar(&asService, "service", false, "run under the service manager (Windows services, systemd)")
	return cmd
}

// logRun is the one place that logs how a run ended.
func logRun(log *slog.Logger) func(reconcile.Report, error) {
	return func(r reconcile.Report, err error) {
		attrs := []any{"vault", r.Vault, "run", r.Run, "mode", r.Mode, "outcome", string(r.Outcome), "changes", countsText(r.Counts)}
		switch {
		case errors.Is(err, context.Canceled):
			log.Info("run stopped at a safe point; the next one continues", attrs...)
		case err != nil:
			log.Error("run failed", append(attrs, "error", err, "hint", hintOf(err))...)
		case r.Outcome == reconcile.Held:
			log.Warn("guards hold changes", append(attrs, "held", r.Counts.Held)...)
		case r.Outcome == reconcile.Partial:
			log.Warn("run left people waiting", append(attrs, "waiting", faultsIn(r.Waiting))...)
		case r.Counts.Made() == 0:
			log.Debug("run found nothing to do", attrs...)
		default:
			log.Info("run done", attrs...)
		}
	}
}

// runService runs the daemon under the service manager.
func (s *session) runService(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	handler, closeLog, err := service.OpenEventLog(slog.LevelInfo)
	if err != nil {
		return fmt.Errorf("open the event log: %w", err)
	}
	defer closeLog() //nolint:errcheck // the process ends
	if handler != nil {
		log = slog.New(handler)
	}
	var failure error
	code, err := service.Run(ctx, s.serviceWork(cfg, log, &failure))
	if err != nil {
		return err
	}
	if failure != nil {
		return failure
	}
	return codeError(code)
}
