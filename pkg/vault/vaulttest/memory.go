package vaulttest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// Memory is a vault's user store in memory, with the login accounts of a
// server of one vault behind it. It is safe for use by several goroutines; the
// exported fields are set before the first call or between calls.
type Memory struct {
	// Fail is asked before each change; the change is not made and answers
	// with the error if there is one.
	Fail func(c vault.Change) error
	// Lose is asked before each change; when true the change is made but
	// answers vault.ErrUnknownOutcome.
	Lose func(c vault.Change) bool
	// FailRead is asked by Identity, Users, Groups, Find and Licenses with the
	// method's name; Users and Groups ask before each element, with the number
	// of those yielded so far, the others with 0.
	FailRead func(method string, yielded int) error
	// HideMembers makes Groups answer MembersUnknown.
	HideMembers bool
	// Counts are the sizes of the pools; a type that is absent is unlimited.
	Counts map[identity.License]int

	mu       sync.Mutex
	identity string
	calls    Calls
	writes   []vault.Change

	byID       map[string]*memAccount
	byLogin    map[string]*memAccount
	byExternal map[string]*memAccount
	byEmail    map[string][]*memAccount
	groups     map[string]*memGroup
	groupNames map[string]*memGroup
	lastUser   int
	lastGroup  int
	used       map[identity.License]int
}

// memAccount is a login account; user.ID is "" while it is not a user of the
// vault.
type memAccount struct{ user vault.User }

type memGroup struct {
	group   vault.Group
	members map[string]bool
}

// Calls counts how often each method was called.
type Calls struct {
	Identity, Users, Groups, Find, Licenses, Apply int
	// Changes are those handed to Apply that were begun.
	Changes int
}

var (
	_ vault.Store    = (*Memory)(nil)
	_ vault.Licensed = (*Memory)(nil)
)

// NewMemory is an empty store with an identity of its own and unlimited
// licences.
func NewMemory() *Memory {
	return &Memory{
		identity:   "memory:" + rand.Text(),
		byID:       map[string]*memAccount{},
		byLogin:    map[string]*memAccount{},
		byExternal: map[string]*memAccount{},
		byEmail:    map[string][]*memAccount{},
		groups:     map[string]*memGroup{},
		groupNames: map[string]*memGroup{},
		used:       map[identity.License]int{},
	}
}

// FailAt is a Fail hook that fails the k-th change it sees (from 1) with err
// and lets all others pass.
func FailAt(k int, err error) func(vault.Change) error {
	var mu sync.Mutex
	seen := 0
	return func(vault.Change) error {
		mu.Lock()
		defer mu.Unlock()
		seen++
		if seen == k {
			return err
		}
		return nil
	}
}

// Calls is what was called since the start or the last Forget.
func (m *Memory) Calls() Calls {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// Writes are the changes that the store accepted, in order: those that failed
// are absent, those that were lost or found nothing to do are present.
func (m *Memory) Writes() []vault.Change {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.writes)
}

// Forget sets Calls and Writes back to nothing; what is stored stays.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls, m.writes = Calls{}, nil
}

// SetIdentity makes the store another one, as if it had been copied.
func (m *Memory) SetIdentity(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.identity = id
}

// AddAccount puts a login account on the server that is not a user of the
// vault. It is not counted as a write. ID, Enabled and SharedElsewhere are
// ignored.
func (m *Memory) AddAccount(u vault.User) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.newAccount(u)
	return err
}

// ShareAccount says whether the login account also serves an enabled user of
// another vault, which Memory does not have. It is not counted as a write.
func (m *Memory) ShareAccount(login string, shared bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.byLogin[identity.Fold(login)]
	if a == nil {
		return fmt.Errorf("login account %q: %w", login, vault.ErrNotFound)
	}
	a.user.SharedElsewhere = shared
	return nil
}

// DeleteUser takes a user out of the vault as hands would; the login account
// stays. It is not counted as a write.
func (m *Memory) DeleteUser(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.byID[id]
	if a == nil {
		return fmt.Errorf("delete user %q: %w", id, vault.ErrNotFound)
	}
	for _, g := range m.groups {
		delete(g.members, id)
	}
	delete(m.byID, id)
	a.user.ID = ""
	return nil
}

// DeleteGroup takes a group out of the vault as hands would. It is not counted
// as a write.
func (m *Memory) DeleteGroup(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.groups[id]
	if g == nil {
		return fmt.Errorf("delete group %q: %w", id, vault.ErrNotFound)
	}
	delete(m.groups, id)
	delete(m.groupNames, identity.Fold(g.group.Name))
	return nil
}

// Identity implements vault.Store.
func (m *Memory) Identity(ctx context.Context) (string, error) {
	m.mu.Lock()
	m.calls.Identity++
	id := m.identity
	m.mu.Unlock()
	if err := m.readable(ctx, "Identity", 0); err != nil {
		return "", err
	}
	return id, nil
}

// Users implements vault.Store, in the order of the ids.
func (m *Memory) Users(ctx context.Context) iter.Seq2[vault.User, error] {
	return func(yield func(vault.User, error) bool) {
		m.mu.Lock()
		m.calls.Users++
		var all []vault.User
		for _, a := range m.byID {
			all = append(all, cloneUser(a.user))
		}
		m.mu.Unlock()
		slices.SortFunc(all, func(a, b vault.User) int { return compareIDs(a.ID, b.ID) })
		yieldAll(all, func(n int) error { return m.readable(ctx, "Users", n) }, yield)
	}
}

// Groups implements vault.Store, in the order of the ids.
func (m *Memory) Groups(ctx context.Context) iter.Seq2[vault.Group, error] {
	return func(yield func(vault.Group, error) bool) {
		m.mu.Lock()
		m.calls.Groups++
		var all []vault.Group
		for _, g := range m.groups {
			out := g.group
			if out.MembersUnknown = m.HideMembers; !m.HideMembers {
				out.Members = slices.SortedFunc(maps.Keys(g.members), compareIDs)
			}
			all = append(all, out)
		}
		m.mu.Unlock()
		slices.SortFunc(all, func(a, b vault.Group) int { return compareIDs(a.ID, b.ID) })
		yieldAll(all, func(n int) error { return m.readable(ctx, "Groups", n) }, yield)
	}
}

// yieldAll yields what was copied, asking before each element and at the end.
func yieldAll[T any](all []T, readable func(int) error, yield func(T, error) bool) {
	for n := 0; ; n++ {
		if err := readable(n); err != nil {
			var none T
			yield(none, err)
			return
		}
		if n == len(all) || !yield(all[n], nil) {
			return
		}
	}
}

// Find implements vault.Store.
func (m *Memory) Find(ctx context.Context, queries []vault.Query) ([][]vault.User, error) {
	m.mu.Lock()
	m.calls.Find++
	m.mu.Unlock()
	if err := m.readable(ctx, "Find", 0); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([][]vault.User, len(queries))
	for i, q := range queries {
		var found []*memAccount
		switch {
		case q.ID != "" && q == vault.Query{ID: q.ID}:
			found = present(m.byID[q.ID])
		case q.ExternalID != "" && q == vault.Query{ExternalID: q.ExternalID}:
			found = present(m.byExternal[q.ExternalID])
		case q.LoginName != "" && q == vault.Query{LoginName: q.LoginName}:
			found = present(m.byLogin[identity.Fold(q.LoginName)])
		case q.Email != "" && q == vault.Query{Email: q.Email}:
			found = m.byEmail[identity.Fold(q.Email)]
		default:
			return nil, fmt.Errorf("query %d of %d must name exactly one field: %w", i+1, len(queries), vault.ErrInvalid)
		}
		for _, a := range found {
			out[i] = append(out[i], cloneUser(a.user))
		}
	}
	return out, nil
}

func present(a *memAccount) []*memAccount {
	if a == nil {
		return nil
	}
	return []*memAccount{a}
}

// Licenses implements vault.Licensed.
func (m *Memory) Licenses(ctx context.Context) ([]vault.Pool, error) {
	m.mu.Lock()
	m.calls.Licenses++
	var pools []vault.Pool
	for _, t := range licenses {
		pools = append(pools, vault.Pool{Type: t, Count: m.count(t), Used: m.used[t]})
	}
	m.mu.Unlock()
	if err := m.readable(ctx, "Licenses", 0); err != nil {
		return nil, err
	}
	return pools, nil
}

// Apply implements vault.Store.
func (m *Memory) Apply(ctx context.Context, changes []vault.Change) []vault.Result {
	m.mu.Lock()
	m.calls.Apply++
	m.mu.Unlock()
	results := make([]vault.Result, len(changes))
	for i, c := range changes {
		if err := ctx.Err(); err != nil {
			results[i].Err = fmt.Errorf("not begun: %w", err)
			continue
		}
		results[i] = m.apply(c)
	}
	return results
}

func (m *Memory) apply(c vault.Change) vault.Result {
	// The hooks may call the store, so they are asked without the lock.
	var fail error
	if m.Fail != nil {
		fail = m.Fail(c)
	}
	lose := fail == nil && m.Lose != nil && m.Lose(c)

	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls.Changes++
	if fail != nil {
		return vault.Result{Err: fail}
	}
	id, err := m.change(c)
	if err != nil {
		return vault.Result{Err: err}
	}
	m.writes = append(m.writes, c)
	if lose {
		return vault.Result{Err: fmt.Errorf("the answer was lost: %w", vault.ErrUnknownOutcome)}
	}
	return vault.Result{ID: id}
}

func (m *Memory) readable(ctx context.Context, method string, yielded int) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if m.FailRead == nil {
		return nil
	}
	return m.FailRead(method, yielded)
}

// compareIDs orders the decimal ids by their value.
func compareIDs(a, b string) int {
	x, errA := strconv.Atoi(a)
	y, errB := strconv.Atoi(b)
	if err := errors.Join(errA, errB); err != nil {
		panic(err) // Memory makes its ids itself
	}
	return x - y
}
