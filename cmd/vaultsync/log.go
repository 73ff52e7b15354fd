package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/provlog"
)

func logCommand(s *session) *cobra.Command {
	var asJSON, asCSV bool
	var user, since, run, outcome string
	cmd := &cobra.Command{
		Use:   "log [VAULT]",
		Short: "Show the provisioning log: every change, who, why, outcome",
		Example: `  vaultsync log sales --since 24h
  vaultsync log --user ann@contoso.com
  vaultsync log sales --outcome failed --csv > failed.csv`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && asCSV {
				return usageError{text: "log: --json or --csv, not both"}
			}
			filter := provlog.Filter{User: user, Run: run, Outcome: outcome}
			if since != "" {
				age, err := config.ParseDuration(since)
				if err != nil || age < 0 {
					return usageError{text: fmt.Sprintf("log: --since %q is not an age", since), hint: "--since 24h, --since 30d"}
				}
				filter.Since = time.Now().Add(-age)
			}
			line := append([]string{"log"}, args...)
			for name, value := range map[string]string{"user": user, "since": since, "run": run, "outcome": outcome} {
				if value != "" {
					line = append(line, "--"+name+"="+value)
				}
			}
			if asJSON {
				line = append(line, "--json")
			}
			if asCSV {
				line = append(line, "--csv")
			}
			return s.do(cmd.Context(), call{args: line, work: func(ctx context.Context, a *app) error {
				if len(args) == 1 {
					names, err := a.names(args, false)
					if err != nil {
						return err
					}
					filter.Vault = names[0]
				}
				return s.printLog(a.journal.Read(ctx, filter), asJSON, asCSV)
			}})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "comma-separated values, safe for spreadsheets")
	cmd.Flags().StringVar(&user, "user", "", "one person: object id, login name or mail address")
	cmd.Flags().StringVar(&since, "since", "", "not older than this `AGE`: 24h, 30d")
	cmd.Flags().StringVar(&run, "run", "", "one run, by its `ID`")
	cmd.Flags().StringVar(&outcome, "outcome", "", "done, failed or held")
	return cmd
}

func (s *session) printLog(entries iter.Seq2[provlog.Entry, error], asJSON, asCSV bool) error {
	if asCSV {
		return provlog.WriteCSV(s.out, entries)
	}
	var problem error
	for entry, err := range entries {
		if err != nil {
			problem = errors.Join(problem, err)
			continue
		}
		if asJSON {
			err = printJSON(s.out, entry)
		} else {
			_, err = fmt.Fprintln(s.out, provlog.FormatText(entry))
		}
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return problem
}
