package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/embedded"
)

// vaultUser is a user as JSON (contract.md, vault users --json).
type vaultUser struct {
	ID         string            `json:"id"`
	LoginName  string            `json:"loginName"`
	FullName   string            `json:"fullName"`
	Email      string            `json:"email"`
	Enabled    bool              `json:"enabled"`
	License    identity.License  `json:"license"`
	ExternalID string            `json:"externalId"`
	Managed    bool              `json:"managed"`
	Groups     []string          `json:"groups"`
	Attributes map[string]string `json:"attributes"`
}

type vaultGroup struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	ExternalID string   `json:"externalId"`
	Managed    bool     `json:"managed"`
	Members    []string `json:"members"`
}

func vaultCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "vault", Short: "Show a vault's users, groups and licences, and administer the embedded store",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		vaultListCommand(s, "users", "Show the users that a vault's store holds now", s.listUsers),
		vaultListCommand(s, "groups", "Show the user groups that a vault's store holds now", s.listGroups),
		vaultListCommand(s, "licenses", "Show the licences of the server behind a vault", s.listLicenses),
		vaultUserCommand(s), vaultGroupCommand(s),
	)
	return cmd
}

type listing func(ctx context.Context, store vault.Store, asJSON bool) error

func vaultListCommand(s *session, verb, short string, list listing) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: verb + " VAULT", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: s.completeVaults,
		RunE: func(cmd *cobra.Command, args []string) error {
			line := []string{"vault", verb, args[0]}
			if asJSON {
				line = append(line, "--json")
			}
			return s.do(cmd.Context(), call{args: line, work: func(ctx context.Context, a *app) error {
				store, err := a.store(args[0])
				if err != nil {
					return err
				}
				return list(ctx, store, asJSON)
			}})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

// readGroups reads the groups, sorted by name.
func readGroups(ctx context.Context, store vault.Store) ([]vault.Group, error) {
	var groups []vault.Group
	for g, err := range store.Groups(ctx) {
		if err != nil {
			return nil, fmt.Errorf("read the groups: %w", err)
		}
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b vault.Group) int { return strings.Compare(a.Name, b.Name) })
	return groups, nil
}

func (s *session) listUsers(ctx context.Context, store vault.Store, asJSON bool) error {
	groups, err := readGroups(ctx, store)
	if err != nil {
		return err
	}
	in := map[string][]string{}
	for _, g := range groups {
		for _, id := range g.Members {
			in[id] = append(in[id], g.Name)
		}
	}
	table := newTable(s.out, asJSON, "ID", "LOGIN NAME", "FULL NAME", "ENABLED", "LICENCE", "MANAGED", "GROUPS")
	for u, err := range store.Users(ctx) {
		if err != nil {
			return fmt.Errorf("read the users: %w", err)
		}
		row := vaultUser{
			ID: u.ID, LoginName: u.LoginName, FullName: u.FullName, Email: u.Email, Enabled: u.Enabled, License: u.License,
			ExternalID: u.ExternalID, Managed: u.Managed, Groups: in[u.ID], Attributes: u.Attributes,
		}
		if row.Groups == nil {
			row.Groups = []string{}
		}
		if row.Attributes == nil {
			row.Attributes = map[string]string{}
		}
		err = table.row(row, u.ID, u.LoginName, u.FullName, yes(u.Enabled), string(u.License), yes(u.Managed), strings.Join(row.Groups, ", "))
		if err != nil {
			return err
		}
	}
	return table.end()
}

func (s *session) listGroups(ctx context.Context, store vault.Store, asJSON bool) error {
	groups, err := readGroups(ctx, store)
	if err != nil {
		return err
	}
	logins := map[string]string{}
	for u, err := range store.Users(ctx) {
		if err != nil {
			return fmt.Errorf("read the users: %w", err)
		}
		logins[u.ID] = u.LoginName
	}
	table := newTable(s.out, asJSON, "ID", "NAME", "MANAGED", "MEMBERS")
	for _, g := range groups {
		row := vaultGroup{ID: g.ID, Name: g.Name, ExternalID: g.ExternalID, Managed: g.Managed, Members: []string{}}
		for _, id := range g.Members {
			row.Members = append(row.Members, logins[id])
		}
		slices.Sort(row.Members)
		if err := table.row(row, g.ID, g.Name, yes(g.Managed), fmt.Sprint(len(g.Members))); err != nil {
			return err
		}
	}
	return table.end()
}

func (s *session) listLicenses(ctx context.Context, store vault.Store, asJSON bool) error {
	licensed, ok := store.(vault.Licensed)
	if !ok {
		return usageError{text: "this vault's store has no licences"}
	}
	pools, err := licensed.Licenses(ctx)
	if err != nil {
		return fmt.Errorf("read the licences: %w", err)
	}
	table := newTable(s.out, asJSON, "TYPE", "COUNT", "USED")
	for _, p := range pools {
		count := fmt.Sprint(p.Count)
		if p.Count < 0 {
			count = "unlimited"
		}
		if err := table.row(p, string(p.Type), count, fmt.Sprint(p.Used)); err != nil {
			return err
		}
	}
	return table.end()
}

// table prints rows as aligned text or as JSON, one a line.
type table struct {
	out    io.Writer
	asJSON bool
	tab    *tabwriter.Writer
}

func newTable(out io.Writer, asJSON bool, header ...string) *table {
	t := &table{out: out, asJSON: asJSON, tab: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	if !asJSON {
		fmt.Fprintln(t.tab, strings.Join(header, "\t")) //nolint:errcheck // end reports it
	}
	return t
}

func (t *table) row(value any, cells ...string) error {
	if t.asJSON {
		return printJSON(t.out, value)
	}
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	fmt.Fprintln(t.tab, strings.Join(cells, "\t")) //nolint:errcheck // end reports it
	return nil
}

func (t *table) end() error {
	if err := t.tab.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// byHand runs a change to the embedded store.
func (s *session) byHand(ctx context.Context, name string, line []string, work func(ctx context.Context, store *embedded.Store) error) error {
	return s.do(ctx, call{args: line, work: func(ctx context.Context, a *app) error {
		store, err := a.embeddedStore(name)
		if err != nil {
			return err
		}
		if err := work(ctx, store); err != nil {
			return fmt.Errorf("vault %s: %w", name, err)
		}
		return nil
	}})
}

func vaultUserCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "user", Short: "Administer the users of an embedded store by hand",
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var fullName, email, license string
	fields := func(c *cobra.Command) *cobra.Command {
		c.Flags().StringVar(&fullName, "full-name", "", "the full `NAME`")
		c.Flags().StringVar(&email, "email", "", "the e-mail `ADDRESS`")
		c.Flags().StringVar(&license, "license", "", "the licence: named, concurrent, readOnly or none")
		return c
	}
	line := func(c *cobra.Command, verb string, args []string) []string {
		all := append([]string{"vault", "user", verb}, args...)
		for _, name := range []string{"full-name", "email", "license"} {
			if f := c.Flags().Lookup(name); f != nil && f.Changed {
				all = append(all, "--"+name+"="+f.Value.String())
			}
		}
		return all
	}
	sub := func(verb, short string, work func(c *cobra.Command, ctx context.Context, store *embedded.Store, login string) error) *cobra.Command {
		return &cobra.Command{
			Use: verb + " VAULT LOGIN", Short: short, Args: cobra.ExactArgs(2), ValidArgsFunction: s.completeVaults,
			RunE: func(c *cobra.Command, args []string) error {
				if license != "" && !slices.Contains([]string{"named", "concurrent", "readOnly", "none"}, license) {
					return usageError{text: fmt.Sprintf("%q is not a licence", license), hint: "named, concurrent, readOnly or none"}
				}
				return s.byHand(c.Context(), args[0], line(c, verb, args), func(ctx context.Context, store *embedded.Store) error {
					return work(c, ctx, store, args[1])
				})
			},
		}
	}
	cmd.AddCommand(
		fields(sub("add", "Add a user, and a login account if there is none", func(_ *cobra.Command, ctx context.Context, store *embedded.Store, login string) error {
			_, err := store.AddUser(ctx, vault.User{LoginName: login, FullName: fullName, Email: email, License: identity.License(license)})
			return err
		})),
		fields(sub("set", "Change a user's login account", func(c *cobra.Command, ctx context.Context, store *embedded.Store, login string) error {
			var p vault.Patch
			if c.Flags().Changed("full-name") {
				p.FullName = &fullName
			}
			if c.Flags().Changed("email") {
				p.Email = &email
			}
			if c.Flags().Changed("license") {
				p.License = new(identity.License(license))
			}
			return store.SetUser(ctx, login, p)
		})),
		sub("enable", "Let a user work in the vault", func(_ *cobra.Command, ctx context.Context, store *embedded.Store, login string) error {
			return store.EnableUser(ctx, login)
		}),
		sub("disable", "Stop a user from working in the vault", func(_ *cobra.Command, ctx context.Context, store *embedded.Store, login string) error {
			return store.DisableUser(ctx, login)
		}),
		sub("delete", "Delete a user from the vault; the login account stays", func(_ *cobra.Command, ctx context.Context, store *embedded.Store, login string) error {
			return store.DeleteUser(ctx, login)
		}),
	)
	return cmd
}

func vaultGroupCommand(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "group", Short: "Administer the user groups of an embedded store by hand",
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	sub := func(use, short string, args cobra.PositionalArgs, work func(ctx context.Context, store *embedded.Store, args []string) error) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Args: args, ValidArgsFunction: s.completeVaults,
			RunE: func(c *cobra.Command, args []string) error {
				line := append([]string{"vault", "group", c.Name()}, args...)
				return s.byHand(c.Context(), args[0], line, func(ctx context.Context, store *embedded.Store) error { return work(ctx, store, args[1:]) })
			},
		}
	}
	cmd.AddCommand(
		sub("add VAULT NAME", "Add a user group", cobra.ExactArgs(2), func(ctx context.Context, store *embedded.Store, args []string) error {
			_, err := store.AddGroup(ctx, args[0])
			return err
		}),
		sub("delete VAULT NAME", "Delete a user group; its members stay users", cobra.ExactArgs(2), func(ctx context.Context, store *embedded.Store, args []string) error {
			return store.DeleteGroup(ctx, args[0])
		}),
		sub("join VAULT NAME LOGIN…", "Put users into a group", cobra.MinimumNArgs(3), func(ctx context.Context, store *embedded.Store, args []string) error {
			return store.Join(ctx, args[0], args[1:]...)
		}),
		sub("leave VAULT NAME LOGIN…", "Take users out of a group", cobra.MinimumNArgs(3), func(ctx context.Context, store *embedded.Store, args []string) error {
			return store.Leave(ctx, args[0], args[1:]...)
		}),
	)
	return cmd
}
