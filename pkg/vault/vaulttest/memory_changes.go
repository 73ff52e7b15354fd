package vaulttest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// licenses are the types of which there are pools.
var licenses = [...]identity.License{identity.LicenseNamed, identity.LicenseConcurrent, identity.LicenseReadOnly}

// change makes one change whole or not at all: everything is checked before
// anything is written.
func (m *Memory) change(c vault.Change) (id string, err error) {
	switch c.Op {
	case vault.CreateUser:
		return m.createUser(c.User)
	case vault.UpdateUser:
		return "", m.updateUser(c.UserID, c.Patch)
	case vault.CreateGroup:
		return m.createGroup(c.Group)
	case vault.UpdateGroup:
		return "", m.updateGroup(c.GroupID, c.Patch)
	case vault.AddMembers:
		return "", m.addMembers(c.GroupID, c.Members)
	case vault.RemoveMembers:
		return "", m.removeMembers(c.GroupID, c.Members)
	default:
		return "", fmt.Errorf("operation %d: %w", c.Op, vault.ErrInvalid)
	}
}

func (m *Memory) createUser(u vault.User) (string, error) {
	if err := check(u.LoginName, u.FullName, u.Email, u.ExternalID, u.Attributes); err != nil {
		return "", err
	}
	a := m.byLogin[identity.Fold(u.LoginName)]
	if a != nil && a.user.ID != "" {
		return "", fmt.Errorf("login name %q: %w", u.LoginName, vault.ErrExists)
	}
	if other := m.byExternal[u.ExternalID]; other != nil && other != a {
		return "", fmt.Errorf("external id %q: %w", u.ExternalID, vault.ErrExists)
	}
	if a == nil {
		created, err := m.newAccount(u)
		if err != nil {
			return "", err
		}
		a = created
	} else {
		m.link(a, u.ExternalID)
		a.user.Managed = u.Managed
	}
	m.lastUser++
	a.user.ID = strconv.Itoa(m.lastUser)
	a.user.Enabled = true
	m.byID[a.user.ID] = a
	return a.user.ID, nil
}

func (m *Memory) newAccount(u vault.User) (*memAccount, error) {
	if err := check(u.LoginName, u.FullName, u.Email, u.ExternalID, u.Attributes); err != nil {
		return nil, err
	}
	if m.byLogin[identity.Fold(u.LoginName)] != nil || m.byExternal[u.ExternalID] != nil {
		return nil, fmt.Errorf("login account %q: %w", u.LoginName, vault.ErrExists)
	}
	if u.License == "" {
		u.License = identity.NoLicense
	}
	if err := m.free(u.License); err != nil {
		return nil, err
	}
	a := &memAccount{user: cloneUser(u)}
	a.user.ID, a.user.Enabled, a.user.SharedElsewhere = "", true, false
	maps.DeleteFunc(a.user.Attributes, func(_, value string) bool { return value == "" })
	m.used[u.License]++
	m.byLogin[identity.Fold(u.LoginName)] = a
	m.addEmail(a)
	if u.ExternalID != "" {
		m.byExternal[u.ExternalID] = a
	}
	return a, nil
}

func (m *Memory) updateUser(id string, p vault.Patch) error {
	a := m.byID[id]
	if a == nil {
		return fmt.Errorf("user %q: %w", id, vault.ErrNotFound)
	}
	next := cloneUser(a.user)
	set(&next.LoginName, p.LoginName)
	set(&next.FullName, p.FullName)
	set(&next.Email, p.Email)
	set(&next.Enabled, p.Enabled)
	set(&next.License, p.License)
	set(&next.ExternalID, p.ExternalID)
	set(&next.Managed, p.Managed)
	if next.License == "" {
		next.License = identity.NoLicense
	}
	if err := check(next.LoginName, next.FullName, next.Email, next.ExternalID, p.Attributes); err != nil {
		return err
	}
	if other := m.byLogin[identity.Fold(next.LoginName)]; other != nil && other != a {
		return fmt.Errorf("login name %q: %w", next.LoginName, vault.ErrExists)
	}
	if other := m.byExternal[next.ExternalID]; other != nil && other != a {
		return fmt.Errorf("external id %q: %w", next.ExternalID, vault.ErrExists)
	}
	if next.License != a.user.License {
		if err := m.free(next.License); err != nil {
			return err
		}
	}
	for name, value := range p.Attributes {
		if value == "" {
			delete(next.Attributes, name)
			continue
		}
		if next.Attributes == nil {
			next.Attributes = map[string]string{}
		}
		next.Attributes[name] = value
	}

	m.used[a.user.License]--
	m.used[next.License]++
	delete(m.byLogin, identity.Fold(a.user.LoginName))
	m.byLogin[identity.Fold(next.LoginName)] = a
	delete(m.byExternal, a.user.ExternalID)
	if next.ExternalID != "" {
		m.byExternal[next.ExternalID] = a
	}
	m.dropEmail(a)
	a.user = next
	m.addEmail(a)
	return nil
}

// link gives an existing account the external id of its new user.
func (m *Memory) link(a *memAccount, external string) {
	if external == "" {
		return
	}
	delete(m.byExternal, a.user.ExternalID)
	a.user.ExternalID = external
	m.byExternal[external] = a
}

func (m *Memory) addEmail(a *memAccount) {
	if key := identity.Fold(a.user.Email); key != "" {
		m.byEmail[key] = append(m.byEmail[key], a)
	}
}

func (m *Memory) dropEmail(a *memAccount) {
	key := identity.Fold(a.user.Email)
	m.byEmail[key] = slices.DeleteFunc(m.byEmail[key], func(b *memAccount) bool { return a == b })
}

func (m *Memory) createGroup(g vault.Group) (string, error) {
	if err := m.checkGroup(nil, g); err != nil {
		return "", err
	}
	m.lastGroup++
	id := strconv.Itoa(m.lastGroup)
	stored := &memGroup{
		group:   vault.Group{ID: id, Name: g.Name, ExternalID: g.ExternalID, Managed: g.Managed},
		members: map[string]bool{},
	}
	m.groups[id], m.groupNames[identity.Fold(g.Name)] = stored, stored
	return id, nil
}

func (m *Memory) updateGroup(id string, p vault.Patch) error {
	g := m.groups[id]
	if g == nil {
		return fmt.Errorf("group %q: %w", id, vault.ErrNotFound)
	}
	next := g.group
	set(&next.Name, p.Name)
	set(&next.ExternalID, p.ExternalID)
	set(&next.Managed, p.Managed)
	if err := m.checkGroup(g, next); err != nil {
		return err
	}
	delete(m.groupNames, identity.Fold(g.group.Name))
	m.groupNames[identity.Fold(next.Name)] = g
	g.group = next
	return nil
}

func (m *Memory) checkGroup(self *memGroup, g vault.Group) error {
	if err := check(g.Name, "", "", g.ExternalID, nil); err != nil {
		return err
	}
	if other := m.groupNames[identity.Fold(g.Name)]; other != nil && other != self {
		return fmt.Errorf("group %q: %w", g.Name, vault.ErrExists)
	}
	for _, other := range m.groups {
		if other != self && g.ExternalID != "" && other.group.ExternalID == g.ExternalID {
			return fmt.Errorf("external id %q: %w", g.ExternalID, vault.ErrExists)
		}
	}
	return nil
}

func (m *Memory) addMembers(id string, users []string) error {
	g := m.groups[id]
	if g == nil {
		return fmt.Errorf("group %q: %w", id, vault.ErrNotFound)
	}
	for _, user := range users {
		if m.byID[user] == nil {
			return fmt.Errorf("user %q: %w", user, vault.ErrNotFound)
		}
	}
	for _, user := range users {
		g.members[user] = true
	}
	return nil
}

func (m *Memory) removeMembers(id string, users []string) error {
	g := m.groups[id]
	if g == nil {
		return fmt.Errorf("group %q: %w", id, vault.ErrNotFound)
	}
	for _, user := range users {
		delete(g.members, user)
	}
	return nil
}

func (m *Memory) count(t identity.License) int {
	if n, limited := m.Counts[t]; limited {
		return n
	}
	return -1
}

// free answers whether one more licence of the type can be handed out.
func (m *Memory) free(t identity.License) error {
	if t == identity.NoLicense {
		return nil
	}
	if !slices.Contains(licenses[:], t) {
		return fmt.Errorf("licence %q: %w", t, vault.ErrInvalid)
	}
	if (vault.Pool{Count: m.count(t), Used: m.used[t]}).Free() == 0 {
		return fmt.Errorf("licence %q: %w", t, vault.ErrNoLicense)
	}
	return nil
}

// check refuses what the store could not give back as it was.
func check(name, fullName, email, external string, attributes map[string]string) error {
	if identity.Fold(name) == "" {
		return fmt.Errorf("a name is needed: %w", vault.ErrInvalid)
	}
	for _, key := range []string{name, email, external} {
		if strings.ContainsFunc(key, unicode.IsControl) {
			return fmt.Errorf("%q has control characters: %w", key, vault.ErrInvalid)
		}
	}
	texts := []string{name, fullName, email, external}
	for key, value := range attributes {
		if key == "" {
			return fmt.Errorf("an attribute without a name: %w", vault.ErrInvalid)
		}
		texts = append(texts, key, value)
	}
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%q is not UTF-8: %w", text, vault.ErrInvalid)
		}
	}
	return nil
}

func cloneUser(u vault.User) vault.User {
	u.Attributes = maps.Clone(u.Attributes)
	return u
}

// set writes what a patch names.
func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
