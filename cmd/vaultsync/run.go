package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/observe"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
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
			if asService {
				return s.runService(cmd.Context())
			}
			cfg, err := s.load()
			if err != nil {
				return err
			}
			log := s.logger(cfg)
			return runDaemon(cmd.Context(), cfg, s.load, log, logRun(log), func(*daemon) {
				log.Info("vaultsync is running", "vaults", len(cfg.Vaults), "dataDir", cfg.DataDir, "pid", os.Getpid())
			})
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
