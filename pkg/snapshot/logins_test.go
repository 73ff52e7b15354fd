package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// twins are two login names of one hash.
func twins(t *testing.T) (one, other string) {
	t.Helper()
	seen := map[string]string{}
	for i := range 1 << 20 {
		login := fmt.Sprintf("%x@contoso.com", sha256.Sum224(binary.BigEndian.AppendUint32(nil, uint32(i)))) //nolint:gosec // small
		key := string(loginKey(login))
		if seen[key] != "" {
			return seen[key], login
		}
		seen[key] = login
	}
	t.Fatal("no two login names have one hash")
	return "", ""
}

func TestLoginNamesOfOneHash(t *testing.T) {
	t.Parallel()
	one, other := twins(t)
	s := open(t, filepath.Join(t.TempDir(), "sales.db"))
	account := func(n uint32, login string) Account {
		return Account{Person: person(n), Number: n, State: Active, UserID: "7", Fields: map[string]Field{"loginName": {Value: login}}}
	}
	owners := func(step string, ofOne, ofOther identity.ObjectID) {
		t.Helper()
		if err := s.Read(func(tx *Tx) error {
			for login, want := range map[string]identity.ObjectID{one: ofOne, other: ofOther} {
				got, ok, err := tx.LoginOwner(login)
				if err != nil || got != want || ok == want.IsZero() {
					t.Errorf("%s: %s is that of %v, %v, %v; want %v", step, login, got, ok, err, want)
				}
			}
			return tx.checkLogins()
		}); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
	put(t, s, account(1, one))
	owners("the other name is nobody's", person(1), identity.ObjectID{})
	put(t, s, account(2, other))
	owners("each has an owner", person(1), person(2))
	put(t, s, account(3, one))
	owners("the one is taken by a third", person(3), person(2))
	put(t, s, account(3, other))
	owners("who then takes the other", identity.ObjectID{}, person(3))
	put(t, s, account(1, one), account(2, "else@contoso.com"))
	owners("the first is written again", person(1), person(3))
	write(t, s, func(tx *Tx) error { return tx.DeleteAccount(person(3)) })
	owners("the third is forgotten", person(1), identity.ObjectID{})
	write(t, s, func(tx *Tx) error { return tx.DeleteAccount(person(1)) })
	owners("and the first", identity.ObjectID{}, identity.ObjectID{})
}
