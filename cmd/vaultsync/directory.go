package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// groupsAtMost bounds what a search prints.
const groupsAtMost = 500

func directoryCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "directory", Short: "Look into a directory",
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var asJSON bool
	groups := &cobra.Command{
		Use:     "groups DIRECTORY [TEXT]",
		Short:   "Find groups by name: id, kind, members",
		Long:    "Lists the groups whose name contains TEXT, so that a vault's file can be written\nwithout a portal. It asks the directory and changes nothing.",
		Example: "  vaultsync directory groups contoso Sales",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := s.load()
			if err != nil {
				return err
			}
			settings, ok := cfg.Directory(args[0])
			if !ok {
				var known []string
				for _, d := range cfg.Directories {
					known = append(known, d.Name)
				}
				return usageError{text: fmt.Sprintf("no directory is called %q", args[0]), hint: fmt.Sprintf("one of %v", known)}
			}
			client, err := newClient(settings, s.logger(cfg))
			if err != nil {
				return err
			}
			defer client.Close()
			text := ""
			if len(args) == 2 {
				text = args[1]
			}
			found, err := client.Search(cmd.Context(), text, false, groupsAtMost)
			if err != nil {
				return fmt.Errorf("search %s: %w", args[0], err)
			}
			table := newTable(s.out, asJSON, "ID", "NAME", "KIND", "MEMBERS", "REMARKS")
			for _, g := range found {
				members := "?"
				if g.Members >= 0 {
					members = fmt.Sprint(g.Members)
				}
				remarks := ""
				if g.Dynamic {
					remarks += "dynamic "
				}
				if g.Hidden {
					remarks += "hidden membership "
				}
				row := map[string]any{"id": g.ID, "name": g.Name, "kind": g.Kind, "members": g.Members, "dynamic": g.Dynamic, "hidden": g.Hidden}
				if err := table.row(row, g.ID.String(), g.Name, g.Kind, members, remarks); err != nil {
					return err
				}
			}
			if len(found) == groupsAtMost {
				fmt.Fprintf(s.err, "only the first %d are shown: name more of the text\n", groupsAtMost) //nolint:errcheck // a remark
			}
			return table.end()
		},
	}
	groups.Flags().BoolVar(&asJSON, "json", false, "one JSON object a group, one a line")
	cmd.AddCommand(groups)
	return cmd
}
