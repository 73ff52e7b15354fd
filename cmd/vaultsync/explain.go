package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/explain"
)

func explainCommand(s *session) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain VAULT USER",
		Short: "Say why a person is or is not in a vault",
		Long: `Says why a person is or is not in a vault: the groups and the way into them, the
scope, the licence, what a guard holds, what waits, and the last changes. USER is
an object id, login name, mail address or display name. It asks neither the
directory nor the vault: what it says is as of the last run.`,
		Example: `  vaultsync explain sales ann@contoso.com
  vaultsync explain sales "Ann B" --json`,
		Args: cobra.ExactArgs(2), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			line := []string{"explain"}
			if asJSON {
				line = append(line, "--json")
			}
			// Whatever a person is called is no flag.
			line = append(line, "--", args[0], args[1])
			return s.do(cmd.Context(), call{args: line, work: func(ctx context.Context, a *app) error {
				return s.explain(ctx, a, args[0], args[1], asJSON)
			}})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON document")
	return cmd
}

func (s *session) explain(ctx context.Context, a *app, name, who string, asJSON bool) error {
	names, err := a.names([]string{name}, false)
	if err != nil {
		return err
	}
	v, err := a.vault(names[0])
	if err != nil {
		return err
	}
	out, err := v.Explain(ctx, who, a.journal)
	if errors.Is(err, explain.ErrAmbiguous) {
		return usageError{text: err.Error(), hint: hintOf(err)}
	}
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(s.out, out)
	} else if _, err = io.WriteString(s.out, out.Text()); err != nil {
		err = fmt.Errorf("write: %w", err)
	}
	if err == nil && out.Standing == explain.Unknown {
		return exitError{exitFailed} // a script can tell it from an answer
	}
	return err
}
