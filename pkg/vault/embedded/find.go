package embedded

import (
	"context"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// Find implements vault.Store with index look-ups alone.
func (s *Store) Find(ctx context.Context, queries []vault.Query) ([][]vault.User, error) {
	out := make([][]vault.User, 0, len(queries))
	for some := range slices.Chunk(queries, page) {
		err := s.server.view(ctx, func(tx *bbolt.Tx) error {
			f := finder{openAccounts(tx), openPeople(tx, s.name)}
			for _, q := range some {
				found, err := f.find(q)
				if err != nil {
					return err
				}
				out = append(out, found)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("find users of vault %s: %w", s.name, err)
		}
	}
	return out, nil
}

type finder struct {
	accounts accounts
	people   people
}

func (f finder) find(q vault.Query) ([]vault.User, error) {
	switch {
	case q.ID != "" && q == vault.Query{ID: q.ID}:
		return f.byID(q.ID)
	case q.ExternalID != "" && q == vault.Query{ExternalID: q.ExternalID}:
		return f.byExternal(q.ExternalID)
	case q.LoginName != "" && q == vault.Query{LoginName: q.LoginName}:
		a, found, err := f.accounts.byLogin(q.LoginName)
		if err != nil || !found {
			return nil, err
		}
		return f.show(a)
	case q.Email != "" && q == vault.Query{Email: q.Email}:
		as, err := f.accounts.byEmail(q.Email)
		if err != nil {
			return nil, err
		}
		return f.show(as...)
	default:
		return nil, fmt.Errorf("%w: a query names exactly one field", vault.ErrInvalid)
	}
}

func (f finder) byID(id string) ([]vault.User, error) {
	number, ok := parseID(id)
	if !ok {
		return nil, nil
	}
	u, found, err := f.people.user(number)
	if err != nil || !found {
		return nil, err
	}
	a, err := f.accounts.get(u.account)
	if err != nil {
		return nil, err
	}
	return []vault.User{a.asUser(u)}, nil
}

// byExternal prefers the vault's own link; a login account that was linked
// through another vault counts only while it is not a user of this one.
func (f finder) byExternal(external string) ([]vault.User, error) {
	u, found, err := f.people.userByExternal(external)
	if err != nil {
		return nil, err
	}
	if found {
		return f.byID(formatID(u.id))
	}
	a, found, err := f.accounts.byExternal(external)
	if err != nil || !found {
		return nil, err
	}
	if _, member, err := f.people.userOf(a.id); err != nil || member {
		return nil, err
	}
	return []vault.User{a.asUser(user{})}, nil
}

// show gives each account with its user of this vault, if there is one.
func (f finder) show(as ...account) ([]vault.User, error) {
	var out []vault.User
	for _, a := range as {
		u, _, err := f.people.userOf(a.id)
		if err != nil {
			return nil, err
		}
		out = append(out, a.asUser(u))
	}
	return out, nil
}
