package reconcile_test

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// says is who should be in which vault group now.
func (m *machine) says() map[string]map[string]bool {
	truth, all := m.w.truth(), map[string]map[string]bool{}
	for _, g := range m.w.specs[0].groups {
		all[g] = map[string]bool{}
		for id := range truth.in(m.w.groupID(g)) {
			all[g][id.String()] = true
		}
	}
	return all
}

// ever says whether a group, or any with "", has had, or has lacked, a person
// since the run began.
func (m *machine) ever(group, person string, had bool) bool {
	return slices.ContainsFunc(m.states, func(state map[string]map[string]bool) bool {
		in := false
		for g, members := range state {
			in = in || (group == "" || g == group) && members[person]
		}
		return in == had
	})
}

// justify holds a change against what the directory has said since the run
// began: a mixture of two states justifies nothing.
func (m *machine) justify(c vault.Change, person string) {
	wrong := ""
	switch c.Op {
	case vault.CreateUser:
		if !m.ever("", person, true) {
			wrong = "was made"
		}
	case vault.UpdateUser:
		if c.Patch.Enabled != nil && !m.ever("", person, *c.Patch.Enabled) {
			wrong = fmt.Sprint("got enabled: ", *c.Patch.Enabled)
		}
	case vault.AddMembers, vault.RemoveMembers:
		name := ""
		for g, err := range m.store.Groups(m.w.ctx) {
			if err != nil {
				m.rt.Fatalf("%v", err)
			}
			if g.ID == c.GroupID {
				name = g.Name
			}
		}
		for _, id := range c.Members {
			p := m.store.personOf(vault.Change{Op: vault.UpdateUser, UserID: id})
			if p != "" && !m.ever(name, p, c.Op == vault.AddMembers) {
				person, wrong = p, fmt.Sprintf("was regrouped in %s (op %v)", name, c.Op)
			}
		}
	case vault.CreateGroup, vault.UpdateGroup:
	}
	if wrong != "" {
		m.rt.Errorf("%s %s, and the directory never said so: %v", person, wrong, m.states)
	}
}

// handsRenameAll changes so many accounts that a full run plans them in
// portions.
func (m *machine) handsRenameAll() {
	for _, p := range m.people {
		if u, ok := m.account(p); ok {
			m.byHand(vault.Change{Op: vault.UpdateUser, UserID: u.ID, Patch: vault.Patch{FullName: new("All By Hand")}})
			m.drift = true
		}
	}
}

func (m *machine) handsDeleteGroup() {
	if !m.settled {
		return
	}
	var all []vault.Group
	for g, err := range m.store.Groups(m.w.ctx) {
		if err != nil {
			m.rt.Fatalf("%v", err)
		}
		all = append(all, g)
	}
	if len(all) == 0 {
		return
	}
	g := rapid.SampledFrom(all).Draw(m.rt, "vault group")
	if err := m.store.DeleteGroup(g.ID); err != nil {
		m.rt.Fatalf("%v", err)
	}
	delete(m.guests, g.Name)
	m.drift = true
}

// changeRules gives the vault's file another field, or takes it away.
func (m *machine) changeRules() {
	m.mapped = !m.mapped
	m.w.specs[0].rest = m.rest()
	m.w.reopen()
}

// exchangeLogins passes login names on between two people, lets a run see it,
// and ends it by names that nobody has had.
func (m *machine) exchangeLogins() {
	a, b := m.person(), m.person()
	truth := m.w.truth()
	login := func(p string) string {
		id, err := identity.ParseObjectID(p)
		if err != nil {
			m.rt.Fatalf("%v", err)
		}
		if truth.people[id].Life != entrasim.Live {
			return ""
		}
		return truth.people[id].Attributes[identity.UserPrincipalName]
	}
	if a == b || login(a) == "" || login(b) == "" {
		return
	}
	m.made++
	m.try("set %s upn=between%d@contoso.com", a, m.made)
	m.try("set %s upn=%s", b, login(a))
	if rapid.Bool().Draw(m.rt, "exchange") {
		m.try("set %s upn=%s", a, login(b))
	}
	if rapid.Bool().Draw(m.rt, "dies") {
		m.dieInRun()
	} else {
		m.run(reconcile.Options{Full: rapid.Bool().Draw(m.rt, "full")})
	}
	for _, p := range []string{a, b} {
		m.made++
		m.try("set %s upn=fresh%d@contoso.com", p, m.made)
	}
	m.settled = false
}

// runWhileItMoves makes a full run during which the directory changes and is
// read by another vault, and the store's pages move.
func (m *machine) runWhileItMoves() {
	at := rapid.IntRange(0, 6).Draw(m.rt, "at")
	skip := rapid.IntRange(0, 6).Draw(m.rt, "lost")
	m.store.listing = func(all []vault.User) (pages []vault.User) {
		for i, u := range all {
			if i != skip {
				pages = append(pages, u)
			}
			if i%3 == skip%3 {
				pages = append(pages, all[0], u)
			}
		}
		return pages
	}
	m.store.during = func(n int) {
		if n != at {
			return
		}
		for range rapid.IntRange(1, 4).Draw(m.rt, "moves") {
			switch rapid.IntRange(0, 6).Draw(m.rt, "move") {
			case 0, 1:
				m.try("+member %s: %s", m.group(), m.person())
			case 2, 3:
				m.try("-member %s: %s", m.group(), m.person())
			case 4:
				m.try("delete user %s", m.person())
			case 5:
				m.try("restore user %s", m.person())
			default:
				m.newLogin()
			}
			m.states = append(m.states, m.says())
		}
		if _, err := m.w.directory.Pull(m.w.ctx, reconcile.Pull{Full: rapid.Bool().Draw(m.rt, "pull in full")}); err != nil {
			m.rt.Fatalf("pull: %v", err)
		}
	}
	if rapid.Bool().Draw(m.rt, "dies") {
		m.store.dieAt, m.store.dieAfter = rapid.IntRange(1, 4).Draw(m.rt, "dies at"), rapid.Bool().Draw(m.rt, "after")
	}
	m.run(reconcile.Options{Full: true})
	m.store.dieAt, m.store.listing, m.store.during = 0, nil, nil
}

// runOther runs the other vault of the directory, which lags behind.
func (m *machine) runOther(check bool) {
	report, err := m.w.vaults["finance"].Run(m.w.ctx, reconcile.Options{Full: m.made%2 == 1})
	if err != nil || check && report.Outcome != reconcile.OK {
		m.rt.Fatalf("the other vault: %s %v %+v %+v", report.Outcome, err, report.Waiting, report.Guards)
	}
	if check {
		m.w.checkVault(m.w.truth(), m.w.specs[1])
	}
}
