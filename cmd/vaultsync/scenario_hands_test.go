package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/embedded"
	"github.com/vaultsync/vaultsync/pkg/vault/vaulttest"
)

// handCommands turns a line of the store section into commands by hand:
//
//	user LOGIN "Full Name" LICENCE [disabled]
//	account LOGIN "Full Name" LICENCE        a login account without a vault user
//	group NAME: LOGIN, LOGIN
func handCommands(vaultName, line string) ([][]string, error) {
	w := words(line)
	name := func(verb string, rest ...string) []string {
		return append([]string{"vault", "user", verb, vaultName}, rest...)
	}
	switch {
	case (w[0] == "user" || w[0] == "account") && len(w) >= 4:
		out := [][]string{name("add", w[1], "--full-name="+w[2], "--email="+w[1], "--license="+w[3])}
		switch {
		case w[0] == "account":
			out = append(out, name("delete", w[1]))
		case len(w) == 5 && w[4] == "disabled":
			out = append(out, name("disable", w[1]))
		case len(w) > 4:
			return nil, fmt.Errorf("what is %q?", w[4:])
		}
		return out, nil
	case w[0] == "group":
		group, members, _ := strings.Cut(strings.TrimPrefix(line, "group "), ":")
		out := [][]string{{"vault", "group", "add", vaultName, group}}
		for _, login := range strings.FieldsFunc(members, func(r rune) bool { return r == ',' || r == ' ' }) {
			out = append(out, []string{"vault", "group", "join", vaultName, group, login})
		}
		return out, nil
	}
	return nil, fmt.Errorf("a store holds user, account and group lines")
}

func (w *inside) storeLine(ctx context.Context, vaultName, line string) error {
	commands, err := handCommands(vaultName, line)
	for _, c := range commands {
		if err == nil {
			err = w.hand(ctx, c)
		}
	}
	return err
}

// hand does what a command of the embedded store does, to whatever store this
// height has.
func (w *inside) hand(ctx context.Context, args []string) error {
	if len(args) < 5 || args[0] != "vault" {
		return errNotByHand
	}
	fields := map[string]string{}
	var rest []string
	for _, arg := range args[4:] {
		if name, value, ok := strings.Cut(strings.TrimPrefix(arg, "--"), "="); ok && strings.HasPrefix(arg, "--") {
			fields[name] = value
			continue
		}
		rest = append(rest, arg)
	}
	if w.height == heightPlan {
		return handOnMemory(ctx, w.memoryOf(args[3]), args[1]+" "+args[2], rest, fields)
	}
	store, err := w.app.embeddedStore(args[3])
	if err != nil {
		return err
	}
	return handOnEmbedded(ctx, store, args[1]+" "+args[2], rest, fields)
}

func patchOf(fields map[string]string) vault.Patch {
	var p vault.Patch
	if v, ok := fields["full-name"]; ok {
		p.FullName = &v
	}
	if v, ok := fields["email"]; ok {
		p.Email = &v
	}
	if v, ok := fields["license"]; ok {
		p.License = new(identity.License(v))
	}
	return p
}

func userOf(login string, fields map[string]string) vault.User {
	return vault.User{LoginName: login, FullName: fields["full-name"], Email: fields["email"], License: identity.License(fields["license"])}
}

func handOnEmbedded(ctx context.Context, s *embedded.Store, verb string, rest []string, fields map[string]string) error {
	switch verb {
	case "user add":
		_, err := s.AddUser(ctx, userOf(rest[0], fields))
		return err
	case "user set":
		return s.SetUser(ctx, rest[0], patchOf(fields))
	case "user enable":
		return s.EnableUser(ctx, rest[0])
	case "user disable":
		return s.DisableUser(ctx, rest[0])
	case "user delete":
		return s.DeleteUser(ctx, rest[0])
	case "group add":
		_, err := s.AddGroup(ctx, rest[0])
		return err
	case "group delete":
		return s.DeleteGroup(ctx, rest[0])
	case "group join":
		return s.Join(ctx, rest[0], rest[1:]...)
	case "group leave":
		return s.Leave(ctx, rest[0], rest[1:]...)
	}
	return errNotByHand
}

func handOnMemory(ctx context.Context, m *vaulttest.Memory, verb string, rest []string, fields map[string]string) error {
	group, err := memoryGroup(ctx, m, rest[0])
	if err != nil {
		return err
	}
	user := func(login string) string {
		found, err := m.Find(ctx, []vault.Query{{LoginName: login}})
		if err != nil || len(found[0]) == 0 {
			return ""
		}
		return found[0][0].ID
	}
	var members []string
	for _, login := range rest[1:] {
		members = append(members, user(login))
	}
	patch := patchOf(fields)
	var change vault.Change
	switch verb {
	case "user add":
		change = vault.Change{Op: vault.CreateUser, User: userOf(rest[0], fields)}
	case "user delete":
		return m.DeleteUser(user(rest[0]))
	case "user enable", "user disable":
		patch.Enabled = new(verb == "user enable")
		fallthrough
	case "user set":
		change = vault.Change{Op: vault.UpdateUser, UserID: user(rest[0]), Patch: patch}
	case "group add":
		change = vault.Change{Op: vault.CreateGroup, Group: vault.Group{Name: rest[0]}}
	case "group delete":
		return m.DeleteGroup(group)
	case "group join":
		change = vault.Change{Op: vault.AddMembers, GroupID: group, Members: members}
	case "group leave":
		change = vault.Change{Op: vault.RemoveMembers, GroupID: group, Members: members}
	default:
		return errNotByHand
	}
	return m.Apply(ctx, []vault.Change{change})[0].Err
}

func memoryGroup(ctx context.Context, m *vaulttest.Memory, name string) (string, error) {
	for g, err := range m.Groups(ctx) {
		if err != nil {
			return "", err
		}
		if identity.Fold(g.Name) == identity.Fold(name) {
			return g.ID, nil
		}
	}
	return "", nil
}
