package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// checkPatience bounds how long somebody at a terminal waits for a directory
// that does not answer.
const checkPatience = 15 * time.Second

// warnCertificate is how long before its end a certificate is warned of.
const warnCertificate = 30 * 24 * time.Hour

// directory looks at one directory with a client of its own, so that what is
// tried is a sign-in and not an old token.
func (c *checkup) directory(ctx context.Context, d config.Directory, vaults []config.Vault, s *session) {
	about := "directory " + d.Name
	before := len(c.findings)
	c.directorySecrets(d)
	if slices.ContainsFunc(c.findings[before:], func(f finding) bool { return f.Result == resultFailed }) {
		c.fail(exitDone, about, "sign-in", "not tried: the credential cannot be read", "")
		return
	}
	d.Patience = min(d.Patience, checkPatience)
	client, err := newClient(d, s.logger(c.cfg))
	if err != nil {
		c.fail(exitUsage, about, "settings", err.Error(), hintOf(err))
		return
	}
	defer client.Close()
	c.askDirectory(ctx, about, d, client, vaults)
}

// askDirectory signs in and asks.
func (c *checkup) askDirectory(ctx context.Context, about string, d config.Directory, client directory.Directory, vaults []config.Vault) {
	access, err := client.Check(ctx)
	c.certificate(about, access.CredentialExpires)
	if access.Expires.IsZero() {
		if err == nil {
			err = fmt.Errorf("%w: it gave no token", directory.ErrSignIn)
		}
		c.failed(ctx, about, "sign-in", err)
		return
	}
	c.ok(about, "sign-in", "tenant %s, application %s, token until %s", cmp.Or(access.TenantID, "(not told)"), cmp.Or(access.ClientID, "(not told)"), local(access.Expires))
	if err != nil {
		c.failed(ctx, about, "access", err)
		c.permissions(about, access.Permissions, nil)
		return
	}
	c.ok(about, "round trip", "%s", max(access.RoundTrip.Round(time.Millisecond), time.Millisecond))
	hidden := c.groups(ctx, d, client, vaults)
	c.permissions(about, access.Permissions, hidden)
}

func (c *checkup) certificate(about string, ends time.Time) {
	if ends.IsZero() {
		return
	}
	const fix = "make a new certificate, register it with the application, and configure it"
	left := ends.Sub(c.now)
	day := ends.Local().Format(time.DateOnly)
	switch {
	case left <= 0:
		c.fail(exitUnreachable, about, "certificate", "it ended on "+day, fix)
	case left <= warnCertificate:
		c.warn(about, "certificate", fmt.Sprintf("it ends on %s, in %d days", day, int(left.Hours()/24)), fix)
	default:
		c.ok(about, "certificate", "good until %s", day)
	}
}

// asked is one configured group of one vault.
type asked struct {
	vault string
	group config.Group
}

func (a asked) about() string { return "vault " + a.vault }

func (a asked) check() string {
	if a.group.Name != "" {
		return fmt.Sprintf("group %q", a.group.Name)
	}
	return "group " + a.group.ID.String()
}

// groups resolves the configured groups of the vaults on a directory and gives
// the names of those whose membership is hidden.
func (c *checkup) groups(ctx context.Context, d config.Directory, client directory.Directory, vaults []config.Vault) (hidden []string) {
	var byID []asked
	var ids []identity.ObjectID
	for _, v := range vaults {
		if v.Directory != d.Name {
			continue
		}
		if len(v.Groups) == 0 {
			c.warn("vault "+v.Name, "groups", "none is configured: everybody is withdrawn from the vault", "")
		}
		for _, g := range v.Groups {
			a := asked{v.Name, g}
			id, ok := g.ID, true
			if g.ID.IsZero() {
				id, ok = c.byName(ctx, client, d, a)
			}
			if ok {
				byID, ids = append(byID, a), append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	infos, err := client.Groups(ctx, ids)
	if err != nil {
		c.failed(ctx, "directory "+d.Name, "groups", err)
		return nil
	}
	for i, info := range infos {
		if info.Hidden && !slices.Contains(hidden, info.Name) {
			hidden = append(hidden, info.Name)
		}
		c.group(byID[i], info)
	}
	return hidden
}

// byName finds the group of a name: the one that the name was resolved to
// before, or the only one that is called so.
func (c *checkup) byName(ctx context.Context, client directory.Directory, d config.Directory, a asked) (identity.ObjectID, bool) {
	if id, ok := c.pinned(d, a.group.Name); ok {
		return id, true
	}
	found, err := client.Search(ctx, a.group.Name, true, 10)
	switch {
	case err != nil:
		c.failed(ctx, a.about(), a.check(), err)
	case len(found) == 0:
		c.fail(exitUsage, a.about(), a.check(), "no group of the directory is called so", "vaultsync directory groups "+d.Name+" TEXT finds groups and their ids")
	case len(found) > 1:
		var ids []string
		for _, g := range found {
			ids = append(ids, g.ID.String())
		}
		c.fail(exitUsage, a.about(), a.check(), fmt.Sprintf("%d groups are called so: %s", len(found), strings.Join(ids, ", ")), "name the one that is meant by its id")
	default:
		return found[0].ID, true
	}
	return identity.ObjectID{}, false
}

// group says what the directory has of one configured group.
func (c *checkup) group(a asked, info directory.GroupInfo) {
	switch info.State {
	case directory.GroupMissing:
		c.fail(exitUsage, a.about(), a.check(), cmp.Or(info.Why, "the directory has no such group"),
			"correct the id, or take the group out of the vault's file; its leavers are held until you approve")
		return
	case directory.GroupUnreadable:
		c.fail(exitUnreachable, a.about(), a.check(), cmp.Or(info.Why, "its members cannot be read"), "see the permissions of the directory; until then nobody is removed because of this group")
		return
	case directory.GroupPresent:
	}
	detail := fmt.Sprintf("%s, %s, %s", info.Name, info.ID, cmp.Or(info.Kind, "group"))
	if info.Members >= 0 {
		detail += fmt.Sprintf(", %d direct members", info.Members)
	}
	switch {
	case info.Hidden && info.Dynamic:
		c.warn(a.about(), a.check(), detail+"; its membership is hidden and follows a rule", "see that the rule is one that you trust with access")
	case info.Hidden:
		c.warn(a.about(), a.check(), detail+"; its membership is hidden", "it is read with "+hiddenPermission+" alone")
	case info.Dynamic:
		c.warn(a.about(), a.check(), detail+"; its members follow a rule: whoever changes the rule changes who has access", "")
	default:
		c.ok(a.about(), a.check(), "%s", detail)
	}
}
