package embedded

import (
	"bytes"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// licenseTypes are the types of which there are pools. Every login account
// that holds one of them uses a licence, in however many vaults it is a user.
var licenseTypes = [...]identity.License{identity.LicenseNamed, identity.LicenseConcurrent, identity.LicenseReadOnly} //nolint:gochecknoglobals // a constant; Go has none for arrays

// accounts are the tables that the vaults share.
type accounts struct{ records, logins, externals, emails, licenses table }

func openAccounts(tx *bbolt.Tx) accounts {
	open := func(name []byte) table { return openTable(tx.Bucket(name), string(name)) }
	return accounts{
		records: open(bucketAccounts), logins: open(bucketAccountLogins), externals: open(bucketAccountExternals),
		emails: open(bucketAccountEmails), licenses: open(bucketLicenses),
	}
}

// get reads an account that something refers to.
func (t accounts) get(id uint64) (account, error) {
	value, found, err := t.records.get(key(id))
	if err != nil {
		return account{}, err
	}
	if !found {
		return account{}, damaged(t.records.name, "login account %d is missing", id)
	}
	return decodeAccount(id, value)
}

// byLogin finds the account with a login name.
func (t accounts) byLogin(login string) (a account, found bool, err error) {
	return t.indexed(t.logins, foldedKey(login))
}

// byExternal finds the account that was linked with an external id last.
func (t accounts) byExternal(external string) (a account, found bool, err error) {
	return t.indexed(t.externals, externalKey(external))
}

func (t accounts) indexed(index table, k []byte) (account, bool, error) {
	id, found, err := index.getID(k)
	if err != nil || !found {
		return account{}, false, err
	}
	a, err := t.get(id)
	return a, err == nil, err
}

// byEmail finds the accounts with a mail address: the one whose login name it
// is too, and those of the index.
func (t accounts) byEmail(email string) ([]account, error) {
	prefix := emailKey(email)
	var found []account
	if a, ok, err := t.byLogin(email); err != nil {
		return nil, err
	} else if ok && identity.Fold(a.email) == identity.Fold(email) {
		found = append(found, a)
	}
	cursor := t.emails.bucket.Cursor()
	for k, v := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = cursor.Next() {
		if len(k) != len(prefix)+8 {
			continue
		}
		if _, err := t.emails.checked(k, v); err != nil {
			return nil, err
		}
		a, err := t.get(number(k[len(prefix):]))
		if err != nil {
			return nil, err
		}
		found = append(found, a)
	}
	return found, nil
}

// indexedEmail is the folded mail address if the index has it: the one of most
// accounts is the login name too, and found by that.
func (a account) indexedEmail() string {
	if folded := identity.Fold(a.email); folded != identity.Fold(a.login) {
		return folded
	}
	return ""
}

// emailKey is the index key of an address, without the account's id. A zero
// ends the address: no stored address has one.
func emailKey(email string) []byte { return append([]byte(identity.Fold(email)), 0) }

// used is how many licences of a type are held.
func (t accounts) used(l identity.License) (int, error) {
	n, _, err := t.licenses.getID([]byte(l))
	return int(n), err
}

// putAccount writes an account and its index entries; old is the zero account
// for a new one. The caller has checked that its names are free.
func (w *writer) putAccount(old, next account) error {
	if old.id != 0 && bytes.Equal(old.encode(), next.encode()) {
		return nil
	}
	id := key(next.id)
	w.write(w.accounts.records.put(id, next.encode()))
	w.move(w.accounts.logins, foldedKey(old.login), foldedKey(next.login), next.id)
	w.move(w.accounts.externals, externalKey(old.external), externalKey(next.external), next.id)
	if before, after := old.indexedEmail(), next.indexedEmail(); before != after {
		if before != "" {
			w.write(w.accounts.emails.delete(append(emailKey(before), id...)))
		}
		if after != "" {
			w.write(w.accounts.emails.put(append(emailKey(after), id...), nil))
		}
	}
	if old.license != next.license {
		w.hold(old.license, -1)
		w.hold(next.license, +1)
	}
	return w.failed
}

// move makes an index name id by another key; an empty one is not in the index.
func (w *writer) move(index table, before, after []byte, id uint64) {
	if bytes.Equal(before, after) {
		return
	}
	if len(before) > 0 {
		w.write(index.delete(before))
	}
	if len(after) > 0 {
		w.write(index.putID(after, id))
	}
}

// free answers whether one more licence of the type can be handed out.
func (w *writer) free(l identity.License) error {
	if l == identity.NoLicense {
		return nil
	}
	if !slices.Contains(licenseTypes[:], l) {
		return fmt.Errorf("%w: licence %q is not one of named, concurrent, readOnly and none", vault.ErrInvalid, l)
	}
	count, limited := w.counts[l]
	if !limited || count < 0 {
		return nil
	}
	used, err := w.inUse(l)
	if err != nil {
		return err
	}
	if used >= count {
		return fmt.Errorf("%w: %d of %d licences of type %q are in use (embeddedStore.licenses in the server's file)", vault.ErrNoLicense, used, count, l)
	}
	return nil
}

// inUse counts a type's licences, those of this transaction included.
func (w *writer) inUse(l identity.License) (int, error) {
	if n, known := w.used[l]; known {
		return n, nil
	}
	n, err := w.accounts.used(l)
	if err == nil {
		w.used[l] = n
	}
	return n, err
}

// hold counts licences in and out; the counters are written once, by finish.
func (w *writer) hold(l identity.License, change int) {
	if !slices.Contains(licenseTypes[:], l) {
		return
	}
	n, err := w.inUse(l)
	if err == nil && n+change < 0 {
		err = damaged(w.accounts.licenses.name, "more licences of type %q are given back than were in use", l)
	}
	if err != nil {
		w.write(err)
		return
	}
	w.used[l] = n + change
}

func (w *writer) finish() error {
	for l, n := range w.used {
		w.write(w.accounts.licenses.putID([]byte(l), uint64(n)))
	}
	return w.failed
}
