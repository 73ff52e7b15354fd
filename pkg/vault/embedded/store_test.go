package embedded

import (
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
