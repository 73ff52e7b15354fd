package embedded

import (
	"errors"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/vaulttest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	vaulttest.Run(t, func(t *testing.T) vault.Store { return open(t, file(t), Options{}).Vault("sales") }, vaulttest.Options{
		NewLimited: func(t *testing.T, named int) vault.Store {
			return open(t, file(t), Options{Licenses: []Pool{{identity.LicenseNamed, named}}}).Vault("sales")
		},
		Reopen: func(t *testing.T, s vault.Store) vault.Store {
			server := s.(*Store).server
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, server.path, Options{}).Vault("sales")
		},
		AddAccount: func(t *testing.T, s vault.Store, u vault.User) {
			// Another vault of the server makes the account.
			apply(t, s.(*Store).server.Vault("other"), vault.Change{Op: vault.CreateUser, User: u})
		},
		DeleteUser: func(t *testing.T, s vault.Store, id string) {
			found, err := s.Find(t.Context(), []vault.Query{{ID: id}})
			if err != nil || len(found[0]) != 1 {
				t.Fatal(found, err)
			}
			if err := s.(*Store).DeleteUser(t.Context(), found[0][0].LoginName); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestPortionOf_changes_share_a_transaction_by_their_work(t *testing.T) {
	t.Parallel()
	small, big := vault.Change{}, vault.Change{Members: make([]string, portion*membersPerChange)}
	for _, c := range []struct {
		changes []vault.Change
		want    int
	}{
		{[]vault.Change{small}, 1},
		{[]vault.Change{big, small}, 1},
		{[]vault.Change{small, big, small}, 2},
		{make([]vault.Change, portion+1), portion},
		{make([]vault.Change, portion-1), portion - 1},
	} {
		if got := portionOf(c.changes); got != c.want {
			t.Errorf("%d of %d changes, want %d", got, len(c.changes), c.want)
		}
	}
}

func TestStore_calls_of_several_portions_are_answered_in_order(t *testing.T) {
	t.Parallel()
	store := open(t, file(t), Options{}).Vault("sales")
	changes := make([]vault.Change, 2*portion+3)
	for i := range changes {
		changes[i] = createUser("user" + formatID(uint64(i)) + "@contoso.com")
	}
	changes[portion+1] = changes[0]
	results := store.Apply(t.Context(), changes)
	for i, r := range results {
		if i == portion+1 {
			if !errors.Is(r.Err, vault.ErrExists) {
				t.Errorf("the second of one name: %v", r.Err)
			}
			continue
		}
		if r.Err != nil || r.ID == "" {
			t.Fatalf("change %d: %+v", i, r)
		}
	}
	if u := one(t, store, vault.Query{ID: results[2*portion].ID}); u.LoginName != changes[2*portion].User.LoginName {
		t.Errorf("got %+v", u)
	}
}
