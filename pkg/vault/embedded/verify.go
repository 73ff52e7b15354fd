package embedded

import (
	"context"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Verify reads every record and answers whether all checksums match and all
// records and index entries agree; the error wraps ErrDamaged otherwise. It
// holds a read transaction while it works. A file damaged badly enough can
// take the process with it: where that matters, run it in a child process.
func (s *Server) Verify(ctx context.Context) error {
	return s.view(ctx, func(tx *bbolt.Tx) error {
		v := verifier{accounts: openAccounts(tx), licenses: map[identity.License]int{}, enabled: map[uint64]int{}}
		if err := v.verifyAccounts(ctx); err != nil {
			return err
		}
		err := tx.Bucket(bucketVaults).ForEachBucket(func(name []byte) error {
			v.people = openPeople(tx, string(name))
			return v.verifyVault(ctx)
		})
		if err != nil {
			return err
		}
		for id, n := range v.enabled {
			if n != 0 {
				return damaged(v.accounts.records.name, "login account %d counts %d enabled users too many", id, n)
			}
		}
		return nil
	})
}

type verifier struct {
	accounts accounts
	people   people
	licenses map[identity.License]int
	enabled  map[uint64]int // by account, what it counts less what was seen
}

// each reads all records of a table.
func (t table) each(ctx context.Context, fn func(k, value []byte) error) (count int, err error) {
	err = t.bucket.ForEach(func(k, stored []byte) error {
		if count++; count%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		value, err := t.checked(k, stored)
		if err != nil {
			return err
		}
		return fn(k, value)
	})
	return count, err
}

// names checks that an index entry leads to id, and counts it.
func (t table) names(k []byte, id uint64, count *int) error {
	if len(k) == 0 {
		return nil
	}
	*count++
	if got, found, err := t.getID(k); err != nil || !found || got != id {
		return errors.Join(err, damaged(t.name, "the entry %q does not lead to %d", k, id))
	}
	return nil
}

// holds checks that an index has as many entries as records ask for, that is,
// none that leads astray.
func (t table) holds(ctx context.Context, want int) error {
	got, err := t.each(ctx, func(_, _ []byte) error { return nil })
	if err == nil && got != want {
		err = damaged(t.name, "%d entries, want %d", got, want)
	}
	return err
}

func (v *verifier) verifyAccounts(ctx context.Context) error {
	var logins, externals, emails int
	_, err := v.accounts.records.each(ctx, func(k, value []byte) error {
		a, err := decodeAccount(number(k), value)
		if err != nil {
			return err
		}
		v.enabled[a.id] = a.enabledUsers
		if a.license != identity.NoLicense {
			v.licenses[a.license]++
		}
		if email := a.indexedEmail(); email != "" {
			emails++
			if _, found, err := v.accounts.emails.get(append(emailKey(email), k...)); err != nil || !found {
				return errors.Join(err, damaged(v.accounts.emails.name, "the entry of login account %d is missing", a.id))
			}
		}
		return errors.Join(
			v.accounts.logins.names(foldedKey(a.login), a.id, &logins),
			v.accounts.externals.names(externalKey(a.external), a.id, &externals),
		)
	})
	if err != nil {
		return err
	}
	for _, l := range licenseTypes {
		used, err := v.accounts.used(l)
		if err != nil {
			return err
		}
		if used != v.licenses[l] {
			return damaged(v.accounts.licenses.name, "%d of type %q counted as used, %d are", used, l, v.licenses[l])
		}
	}
	return errors.Join(
		v.accounts.logins.holds(ctx, logins),
		v.accounts.externals.holds(ctx, externals),
		v.accounts.emails.holds(ctx, emails),
	)
}

func (v *verifier) verifyVault(ctx context.Context) error {
	if err := v.verifyUsers(ctx); err != nil {
		return err
	}
	if err := v.verifyGroups(ctx); err != nil {
		return err
	}
	_, err := v.people.members.each(ctx, func(k, value []byte) error {
		b, err := v.people.readBlock(k, value)
		if err != nil {
			return err
		}
		if !v.people.groups.has(k[:8]) {
			return damaged(v.people.members.name, "group %d is missing", number(k[:8]))
		}
		for _, id := range b.ids(nil, number(k[8:])<<blockBits) {
			if !v.people.users.has(key(id)) {
				return damaged(v.people.members.name, "user %d is missing", id)
			}
		}
		return nil
	})
	return err
}

func (v *verifier) verifyUsers(ctx context.Context) error {
	var externals int
	users, err := v.people.users.each(ctx, func(k, value []byte) error {
		u, err := decodeUser(number(k), value)
		if err != nil {
			return err
		}
		if u.id > v.people.users.bucket.Sequence() {
			return damaged(v.people.users.name, "user %d is above the last id", u.id)
		}
		if _, err := v.accounts.get(u.account); err != nil {
			return err
		}
		v.enabled[u.account] -= u.enabledCount()
		if id, found, err := v.people.userAccounts.getID(key(u.account)); err != nil || !found || id != u.id {
			return errors.Join(err, damaged(v.people.userAccounts.name, "login account %d does not lead to user %d", u.account, u.id))
		}
		return v.people.userExternals.names(externalKey(u.external), u.id, &externals)
	})
	if err != nil {
		return err
	}
	return errors.Join(v.people.userAccounts.holds(ctx, users), v.people.userExternals.holds(ctx, externals))
}

func (v *verifier) verifyGroups(ctx context.Context) error {
	var names, externals int
	_, err := v.people.groups.each(ctx, func(k, value []byte) error {
		g, err := decodeGroup(number(k), value)
		if err != nil {
			return err
		}
		return errors.Join(
			v.people.groupNames.names(foldedKey(g.name), g.id, &names),
			v.people.groupExternals.names(externalKey(g.external), g.id, &externals),
		)
	})
	if err != nil {
		return err
	}
	return errors.Join(v.people.groupNames.holds(ctx, names), v.people.groupExternals.holds(ctx, externals))
}
