package embedded

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// Store is the user store of one vault of a Server.
type Store struct {
	server *Server
	name   string
}

var (
	_ vault.Store    = (*Store)(nil)
	_ vault.Licensed = (*Store)(nil)
)

const (
	// portion is how many changes share a transaction: enough that a first
	// import is not bound by the disk's flushes, few enough that other vaults
	// get their turn and a stop takes effect.
	portion = 5000
	// membersPerChange memberships are as much work as one user.
	membersPerChange = 10
	// page is how many users are read at a time.
	page = 512
)

// Identity implements vault.Store: the server's random identity and the
// vault's own. A copy of the file has the same; it is taken for a restored
// backup.
func (s *Store) Identity(ctx context.Context) (string, error) {
	var id []byte
	read := func(tx *bbolt.Tx) (err error) {
		if v := openPeople(tx, s.name).bucket; v != nil {
			id, _, err = openTable(v, "vault "+s.name).get(keyIdentity)
			id = append([]byte(nil), id...)
		}
		return err
	}
	if err := s.server.view(ctx, read); err != nil {
		return "", err
	}
	if len(id) == 0 {
		err := s.server.update(ctx, func(tx *bbolt.Tx) (bool, error) {
			if _, err := newWriter(tx, s); err != nil {
				return false, err
			}
			return true, read(tx)
		})
		if err != nil {
			return "", err
		}
	}
	return "embedded:" + s.server.identity + ":" + string(id), nil
}

// makeVault makes the tables of a vault that was never written to.
func makeVault(tx *bbolt.Tx, name string) error {
	vaults := tx.Bucket(bucketVaults)
	if vaults.Bucket([]byte(name)) != nil {
		return nil
	}
	v, err := vaults.CreateBucket([]byte(name))
	if err != nil {
		return fmt.Errorf("make vault %s: %w", name, err)
	}
	for _, bucket := range vaultBuckets {
		if _, err := v.CreateBucket(bucket); err != nil {
			return fmt.Errorf("make vault %s: %w", name, err)
		}
	}
	return openTable(v, "vault "+name).put(keyIdentity, []byte(rand.Text()))
}

// Apply implements vault.Store. Changes that fail leave nothing half done, and
// changes that find nothing to do write nothing. Portions of the changes share
// a transaction: when it cannot be written (a full disk), all changes of that
// portion answer with the error and none of them was made.
func (s *Store) Apply(ctx context.Context, changes []vault.Change) []vault.Result {
	results := make([]vault.Result, len(changes))
	for start := 0; start < len(changes); {
		end := start + portionOf(changes[start:])
		s.applyPortion(ctx, changes[start:end], results[start:end])
		start = end
	}
	return results
}

// portionOf is how many of the changes, at least one, make a portion.
func portionOf(changes []vault.Change) int {
	n, size := 0, 0
	for n < len(changes) && size < portion {
		size += 1 + len(changes[n].Members)/membersPerChange
		n++
	}
	return n
}

func (s *Store) applyPortion(ctx context.Context, changes []vault.Change, results []vault.Result) {
	err := s.edit(ctx, func(w *writer) error {
		for i, c := range changes {
			if err := ctx.Err(); err != nil {
				results[i].Err = fmt.Errorf("vault %s: not begun: %w", s.name, err)
				continue
			}
			id, err := w.change(c)
			switch {
			case w.failed != nil:
				return w.failed
			case err != nil:
				results[i].Err = fmt.Errorf("vault %s: %w", s.name, s.server.located(err))
			case id != 0:
				results[i].ID = formatID(id)
			}
		}
		return nil
	})
	if err == nil {
		return
	}
	for i := range results {
		if results[i].Err == nil {
			results[i] = vault.Result{Err: fmt.Errorf("vault %s: %w", s.name, err)}
		}
	}
}

// edit runs fn in a write transaction that is kept if fn returns no error and
// wrote something.
func (s *Store) edit(ctx context.Context, fn func(*writer) error) error {
	return s.server.update(ctx, func(tx *bbolt.Tx) (bool, error) {
		w, err := newWriter(tx, s)
		if err != nil {
			return false, err
		}
		if err := fn(w); err != nil {
			return false, err
		}
		if !w.wrote {
			return false, nil
		}
		return true, w.finish()
	})
}

// Users implements vault.Store, in the order of the ids. It reads a page at a
// time and holds no transaction while the caller works: a user that is added
// or removed meanwhile may be seen or not.
func (s *Store) Users(ctx context.Context) iter.Seq2[vault.User, error] {
	return func(yield func(vault.User, error) bool) {
		for after, more := uint64(0), true; more; {
			var users []vault.User
			err := s.server.view(ctx, func(tx *bbolt.Tx) (err error) {
				users, after, err = readUsers(tx, s.name, after)
				return err
			})
			if err != nil {
				yield(vault.User{}, fmt.Errorf("list users of vault %s: %w", s.name, err))
				return
			}
			for _, u := range users {
				if !yield(u, nil) {
					return
				}
			}
			more = len(users) == page
		}
	}
}

// readUsers reads the next page of users with ids above after.
func readUsers(tx *bbolt.Tx, vaultName string, after uint64) (users []vault.User, last uint64, err error) {
	accounts, people := openAccounts(tx), openPeople(tx, vaultName)
	if people.bucket == nil {
		return nil, after, nil
	}
	cursor := people.users.bucket.Cursor()
	for k, v := cursor.Seek(key(after + 1)); k != nil && len(users) < page; k, v = cursor.Next() {
		value, err := people.users.checked(k, v)
		if err != nil {
			return nil, 0, err
		}
		u, err := decodeUser(number(k), value)
		if err != nil {
			return nil, 0, err
		}
		a, err := accounts.get(u.account)
		if err != nil {
			return nil, 0, err
		}
		users, after = append(users, a.asUser(u)), u.id
	}
	return users, after, nil
}

// Groups implements vault.Store likewise, one group at a time.
func (s *Store) Groups(ctx context.Context) iter.Seq2[vault.Group, error] {
	return func(yield func(vault.Group, error) bool) {
		for after, more := uint64(0), true; more; {
			var next vault.Group
			err := s.server.view(ctx, func(tx *bbolt.Tx) (err error) {
				next, after, more, err = readGroup(tx, s.name, after)
				return err
			})
			if err != nil {
				yield(vault.Group{}, fmt.Errorf("list groups of vault %s: %w", s.name, err))
				return
			}
			if more && !yield(next, nil) {
				return
			}
		}
	}
}

// readGroup reads the group with the lowest id above after.
func readGroup(tx *bbolt.Tx, vaultName string, after uint64) (g vault.Group, id uint64, found bool, err error) {
	people := openPeople(tx, vaultName)
	if people.bucket == nil {
		return vault.Group{}, after, false, nil
	}
	k, v := people.groups.bucket.Cursor().Seek(key(after + 1))
	if k == nil {
		return vault.Group{}, after, false, nil
	}
	value, err := people.groups.checked(k, v)
	if err != nil {
		return vault.Group{}, after, false, err
	}
	stored, err := decodeGroup(number(k), value)
	if err != nil {
		return vault.Group{}, after, false, err
	}
	ids, err := people.membersOf(stored.id)
	return stored.asGroup(ids), stored.id, err == nil, err
}

// Licenses implements vault.Licensed: the pools of the server, shared by its
// vaults.
func (s *Store) Licenses(ctx context.Context) ([]vault.Pool, error) {
	var pools []vault.Pool
	err := s.server.view(ctx, func(tx *bbolt.Tx) error {
		accounts := openAccounts(tx)
		for _, l := range licenseTypes {
			used, err := accounts.used(l)
			if err != nil {
				return err
			}
			count, limited := s.server.counts[l]
			if !limited {
				count = -1
			}
			pools = append(pools, vault.Pool{Type: l, Count: count, Used: used})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count licences: %w", err)
	}
	return pools, nil
}
