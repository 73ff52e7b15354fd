package embedded

import (
	"fmt"
	"maps"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// writer makes changes in one write transaction. Each change is checked in
// full before its first write, so that one that fails has written nothing.
type writer struct {
	accounts accounts
	people   people
	counts   map[identity.License]int
	used     map[identity.License]int // licences in use, as far as they were asked for
	creating bool                     // a user was made
	wrote    bool
	failed   error // a write that went wrong: the transaction must not be committed
}

func newWriter(tx *bbolt.Tx, s *Store) (*writer, error) {
	if s.name == "" {
		return nil, fmt.Errorf("%w: a vault needs a name", vault.ErrInvalid)
	}
	if err := makeVault(tx, s.name); err != nil {
		return nil, err
	}
	w := &writer{
		accounts: openAccounts(tx), people: openPeople(tx, s.name),
		counts: s.server.counts, used: map[identity.License]int{},
	}
	// Ids mostly grow, so that these pages are filled and seldom split again.
	for _, t := range [...]table{w.accounts.records, w.people.users, w.people.userAccounts} {
		t.bucket.FillPercent = filled
	}
	return w, nil
}

// write notes a write to the transaction.
func (w *writer) write(err error) {
	w.wrote = true
	if w.failed == nil {
		w.failed = err
	}
}

// change makes one change; the error of a change that was refused leaves the
// transaction as it was.
func (w *writer) change(c vault.Change) (id uint64, err error) {
	switch c.Op {
	case vault.CreateUser:
		return w.createUser(c.User)
	case vault.UpdateUser:
		return 0, w.updateUser(c.UserID, c.Patch)
	case vault.CreateGroup:
		return w.createGroup(c.Group)
	case vault.UpdateGroup:
		return 0, w.updateGroup(c.GroupID, c.Patch)
	case vault.AddMembers:
		return 0, w.addMembers(c.GroupID, c.Members)
	case vault.RemoveMembers:
		return 0, w.removeMembers(c.GroupID, c.Members)
	default:
		return 0, fmt.Errorf("%w: unknown operation %d", vault.ErrInvalid, c.Op)
	}
}

func (w *writer) createUser(c vault.User) (uint64, error) {
	if err := checkUser(c.LoginName, c.FullName, c.Email, c.ExternalID, c.Attributes); err != nil {
		return 0, fmt.Errorf("create user %q: %w", c.LoginName, err)
	}
	a, exists, err := w.accounts.byLogin(c.LoginName)
	if err != nil {
		return 0, fmt.Errorf("create user %q: %w", c.LoginName, err)
	}
	if exists {
		u, taken, err := w.people.userOf(a.id)
		if err != nil {
			return 0, fmt.Errorf("create user %q: %w", c.LoginName, err)
		}
		if taken {
			return 0, fmt.Errorf("create user %q: %w: user %d of this vault has the login name", c.LoginName, vault.ErrExists, u.id)
		}
	}
	if err := w.externalFree(c.ExternalID, 0, a.id); err != nil {
		return 0, fmt.Errorf("create user %q: %w", c.LoginName, err)
	}
	next := a
	switch {
	case exists && a.external == "":
		next.external = c.ExternalID
	case exists:
	default:
		next, err = w.newAccount(c)
		if err != nil {
			return 0, fmt.Errorf("create login account %q: %w", c.LoginName, err)
		}
	}
	if !w.creating {
		// A first import makes its people in the order of their external ids.
		w.creating = true
		w.accounts.externals.extend(externalKey(next.external))
		w.people.userExternals.extend(externalKey(c.ExternalID))
	}
	next.enabledUsers++
	u := user{account: next.id, enabled: true, managed: c.Managed, external: c.ExternalID}
	if u.id, err = w.people.users.next(); err != nil {
		w.write(err)
		return 0, err
	}
	if err := w.putAccount(a, next); err != nil {
		return 0, err
	}
	return u.id, w.putUser(user{}, u)
}

func (w *writer) newAccount(c vault.User) (account, error) {
	a := account{
		login: c.LoginName, fullName: c.FullName, email: c.Email, external: c.ExternalID, managed: c.Managed,
		license: orNone(c.License), attributes: maps.Clone(c.Attributes),
	}
	maps.DeleteFunc(a.attributes, func(_, value string) bool { return value == "" })
	if err := w.free(a.license); err != nil {
		return account{}, err
	}
	id, err := w.accounts.records.next()
	if err != nil {
		w.write(err)
	}
	a.id = id
	return a, err
}

// orNone reads a licence that is not named as none.
func orNone(l identity.License) identity.License {
	if l == "" {
		return identity.NoLicense
	}
	return l
}

// externalFree answers whether an external id can be given to a user of this
// vault and a login account; 0 stands for one that is yet to be made.
func (w *writer) externalFree(external string, userID, accountID uint64) error {
	u, taken, err := w.people.userByExternal(external)
	if err != nil {
		return err
	}
	if taken && u.id != userID {
		return fmt.Errorf("%w: user %d of this vault has external id %q", vault.ErrExists, u.id, external)
	}
	a, taken, err := w.accounts.byExternal(external)
	if err != nil {
		return err
	}
	if taken && a.id != accountID {
		return fmt.Errorf("%w: login account %q has external id %q", vault.ErrExists, a.login, external)
	}
	return nil
}

func (w *writer) updateUser(id string, p vault.Patch) error {
	u, err := w.mustUser(id)
	if err != nil {
		return fmt.Errorf("update user %q: %w", id, err)
	}
	a, err := w.accounts.get(u.account)
	if err != nil {
		return fmt.Errorf("update user %q: %w", id, err)
	}
	nextUser, nextAccount := patched(u, a, p)
	if err := w.checkUpdate(u, a, nextUser, nextAccount, p); err != nil {
		return fmt.Errorf("update user %s (%s): %w", id, a.login, err)
	}
	if err := w.putAccount(a, nextAccount); err != nil {
		return err
	}
	return w.putUser(u, nextUser)
}

func patched(u user, a account, p vault.Patch) (user, account) {
	before := u.enabledCount()
	set(&u.enabled, p.Enabled)
	a.enabledUsers += u.enabledCount() - before
	set(&u.managed, p.Managed)
	set(&a.login, p.LoginName)
	set(&a.fullName, p.FullName)
	set(&a.email, p.Email)
	if p.License != nil {
		a.license = orNone(*p.License)
	}
	if p.ExternalID != nil && *p.ExternalID != u.external {
		// The login account follows the newest link; unlinking takes its
		// memory only if it is the same one.
		if *p.ExternalID != "" || a.external == u.external {
			a.external = *p.ExternalID
		}
		u.external = *p.ExternalID
	}
	if len(p.Attributes) > 0 {
		next := maps.Clone(a.attributes)
		if next == nil {
			next = map[string]string{}
		}
		maps.Copy(next, p.Attributes)
		maps.DeleteFunc(next, func(_, value string) bool { return value == "" })
		a.attributes = next
	}
	return u, a
}

func (w *writer) checkUpdate(u user, a account, nextUser user, nextAccount account, p vault.Patch) error {
	if err := checkUser(nextAccount.login, nextAccount.fullName, nextAccount.email, nextUser.external, p.Attributes); err != nil {
		return err
	}
	other, taken, err := w.accounts.byLogin(nextAccount.login)
	if err != nil {
		return err
	}
	if taken && other.id != a.id {
		return fmt.Errorf("%w: another login account is called %q", vault.ErrExists, other.login)
	}
	if nextUser.external != u.external {
		if err := w.externalFree(nextUser.external, u.id, a.id); err != nil {
			return err
		}
	}
	if nextAccount.license != a.license {
		return w.free(nextAccount.license)
	}
	return nil
}

// mustUser reads a user that has to be there.
func (w *writer) mustUser(id string) (user, error) {
	number, ok := parseID(id)
	if !ok {
		return user{}, vault.ErrNotFound
	}
	u, found, err := w.people.user(number)
	if err == nil && !found {
		err = vault.ErrNotFound
	}
	return u, err
}

// set writes what a patch names.
func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
