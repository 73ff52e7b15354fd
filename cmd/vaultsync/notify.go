package main

import (
	"github.com/spf13/cobra"
)

func notifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "notify", Short: "Say how to be told of what goes wrong", Args: cobra.NoArgs,
		Long: `vaultsync sends no mail and calls nobody: monitoring asks it. That is one thing
less that holds a password and fails unseen.

  vaultsync status --check    exits with the code of the gravest vault: for cron,
                              Nagios, a scheduled task
  http://127.0.0.1:8390       /healthz, /readyz, /metrics (api.listen)
  the event log, the journal  runs that fail or are held are logged as errors and
                              warnings`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "test", Short: "Try the notifications", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{
				text: "there is nothing to try: the configuration has no notifications, and vaultsync sends none",
				hint: "have your monitoring ask: vaultsync status --check, or /metrics (vaultsync notify --help)",
			}
		},
	})
	return cmd
}
