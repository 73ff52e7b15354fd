package embedded

import (
	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// people are the tables of one vault. Their buckets are nil until the vault is
// first written to; it then reads as empty.
type people struct {
	bucket                             *bbolt.Bucket
	users, userAccounts, userExternals table
	groups, groupNames, groupExternals table
	members                            table
}

func openPeople(tx *bbolt.Tx, vaultName string) people {
	v := tx.Bucket(bucketVaults).Bucket([]byte(vaultName))
	open := func(name []byte) table {
		if v == nil {
			return openTable(nil, "vault "+vaultName+", "+string(name))
		}
		return openTable(v.Bucket(name), "vault "+vaultName+", "+string(name))
	}
	return people{
		bucket: v,
		users:  open(bucketUsers), userAccounts: open(bucketUserAccounts), userExternals: open(bucketUserExternals),
		groups: open(bucketGroups), groupNames: open(bucketGroupNames), groupExternals: open(bucketGroupExternals),
		members: open(bucketMembers),
	}
}

func (t people) user(id uint64) (u user, found bool, err error) {
	value, found, err := t.users.get(key(id))
	if err != nil || !found {
		return user{}, false, err
	}
	u, err = decodeUser(id, value)
	return u, err == nil, err
}

// userOf finds the vault user of a login account.
func (t people) userOf(account uint64) (u user, found bool, err error) {
	return t.indexedUser(t.userAccounts, key(account))
}

func (t people) userByExternal(external string) (u user, found bool, err error) {
	return t.indexedUser(t.userExternals, externalKey(external))
}

func (t people) indexedUser(index table, k []byte) (user, bool, error) {
	id, found, err := index.getID(k)
	if err != nil || !found {
		return user{}, false, err
	}
	u, found, err := t.user(id)
	if err == nil && !found {
		err = damaged(t.users.name, "user %d is missing", id)
	}
	return u, found, err
}

func (t people) group(id uint64) (g group, found bool, err error) {
	value, found, err := t.groups.get(key(id))
	if err != nil || !found {
		return group{}, false, err
	}
	g, err = decodeGroup(id, value)
	return g, err == nil, err
}

func (t people) groupByName(name string) (g group, found bool, err error) {
	id, found, err := t.groupNames.getID(foldedKey(name))
	if err != nil || !found {
		return group{}, false, err
	}
	g, found, err = t.group(id)
	if err == nil && !found {
		err = damaged(t.groups.name, "group %d is missing", id)
	}
	return g, found, err
}

// putUser writes a vault user and its index entries; old is the zero user for
// a new one.
func (w *writer) putUser(old, next user) error {
	if old == next {
		return nil
	}
	w.write(w.people.users.put(key(next.id), next.encode()))
	if old.id == 0 {
		w.write(w.people.userAccounts.putID(key(next.account), next.id))
	}
	w.move(w.people.userExternals, externalKey(old.external), externalKey(next.external), next.id)
	return w.failed
}

// putGroup writes a group and its index entries; old is the zero group for a
// new one.
func (w *writer) putGroup(old, next group) error {
	if old == next {
		return nil
	}
	w.write(w.people.groups.put(key(next.id), next.encode()))
	w.move(w.people.groupNames, foldedKey(old.name), foldedKey(next.name), next.id)
	w.move(w.people.groupExternals, externalKey(old.external), externalKey(next.external), next.id)
	return w.failed
}

// dropUser takes a user out of the vault and its groups; the login account
// stays, with its licence.
func (w *writer) dropUser(u user) error {
	groups, err := w.groupIDs()
	if err != nil {
		return err
	}
	a, err := w.accounts.get(u.account)
	if err != nil {
		return err
	}
	left := a
	left.enabledUsers -= u.enabledCount()
	if err := w.putAccount(a, left); err != nil {
		return err
	}
	for _, id := range groups {
		if err := w.leave(group{id: id}, []uint64{u.id}); err != nil {
			return err
		}
	}
	w.move(w.people.userExternals, externalKey(u.external), nil, u.id)
	w.write(w.people.userAccounts.delete(key(u.account)))
	w.write(w.people.users.delete(key(u.id)))
	return w.failed
}

func (w *writer) dropGroup(g group) error {
	ids, err := w.people.membersOf(g.id)
	if err != nil {
		return err
	}
	if err := w.leave(g, ids); err != nil {
		return err
	}
	w.move(w.people.groupNames, foldedKey(g.name), nil, g.id)
	w.move(w.people.groupExternals, externalKey(g.external), nil, g.id)
	w.write(w.people.groups.delete(key(g.id)))
	return w.failed
}

func (w *writer) groupIDs() ([]uint64, error) {
	var ids []uint64
	err := w.people.groups.bucket.ForEach(func(k, v []byte) error {
		if _, err := w.people.groups.checked(k, v); err != nil {
			return err
		}
		ids = append(ids, number(k))
		return nil
	})
	return ids, err
}

// asGroup shows a group with its members.
func (g group) asGroup(memberIDs []uint64) vault.Group {
	out := vault.Group{ID: formatID(g.id), Name: g.name, ExternalID: g.external, Managed: g.managed}
	for _, id := range memberIDs {
		out.Members = append(out.Members, formatID(id))
	}
	return out
}
