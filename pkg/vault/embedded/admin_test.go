package embedded

import (
	"errors"
	"slices"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

func TestStore_by_hand(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{Licenses: []Pool{{identity.LicenseNamed, 1}}})
	store, ctx := s.Vault("sales"), t.Context()
	fails := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	members := func() []string {
		t.Helper()
		for g, err := range store.Groups(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			return g.Members
		}
		t.Fatal("no group")
		return nil
	}

	u, err := store.AddUser(ctx, vault.User{LoginName: "ann@contoso.com", License: identity.LicenseNamed})
	if err != nil || u.ID == "" || !u.Enabled || u.Managed || u.License != identity.LicenseNamed {
		t.Fatalf("add: %+v, %v", u, err)
	}
	_, err = store.AddUser(ctx, vault.User{LoginName: "ANN@contoso.com"})
	fails("add twice", err, vault.ErrExists)
	_, err = store.AddUser(ctx, vault.User{LoginName: "bob@contoso.com", License: identity.LicenseNamed})
	fails("add without a licence", err, vault.ErrNoLicense)
	bob, err := store.AddUser(ctx, vault.User{LoginName: "bob@contoso.com"})
	fails("add", err, nil)

	fails("set", store.SetUser(ctx, "Ann@contoso.com", vault.Patch{FullName: new("Ann"), License: new(identity.NoLicense)}), nil)
	fails("disable", store.DisableUser(ctx, "ann@contoso.com"), nil)
	if got := one(t, store, vault.Query{ID: u.ID}); got.FullName != "Ann" || got.Enabled || got.License != identity.NoLicense {
		t.Errorf("got %+v", got)
	}
	fails("enable", store.EnableUser(ctx, "ann@contoso.com"), nil)
	if !one(t, store, vault.Query{ID: u.ID}).Enabled {
		t.Error("not enabled")
	}
	fails("set nobody", store.SetUser(ctx, "nobody@contoso.com", vault.Patch{}), vault.ErrNotFound)
	fails("set the other vault's user", s.Vault("legal").DisableUser(ctx, "ann@contoso.com"), vault.ErrNotFound)

	_, err = store.AddGroup(ctx, "Sales")
	fails("add group", err, nil)
	_, err = store.AddGroup(ctx, "SALES")
	fails("add group twice", err, vault.ErrExists)
	fails("join with somebody unknown", store.Join(ctx, "sales", "ann@contoso.com", "nobody@contoso.com"), vault.ErrNotFound)
	if got := members(); len(got) != 0 {
		t.Errorf("half joined: %v", got)
	}
	fails("join", store.Join(ctx, "sales", "ann@contoso.com", "BOB@contoso.com"), nil)
	if got := members(); !slices.Equal(got, []string{u.ID, bob.ID}) {
		t.Errorf("members %v", got)
	}
	fails("leave", store.Leave(ctx, "sales", "bob@contoso.com"), nil)
	fails("leave twice", store.Leave(ctx, "sales", "bob@contoso.com"), nil)
	fails("leave an unknown group", store.Leave(ctx, "none", "bob@contoso.com"), vault.ErrNotFound)

	fails("delete", store.DeleteUser(ctx, "ann@contoso.com"), nil)
	fails("delete twice", store.DeleteUser(ctx, "ann@contoso.com"), vault.ErrNotFound)
	if got := members(); len(got) != 0 {
		t.Errorf("a deleted user is a member: %v", got)
	}
	again, err := store.AddUser(ctx, vault.User{LoginName: "ann@contoso.com", License: identity.LicenseNamed})
	if err != nil || again.ID == u.ID || again.License != identity.NoLicense || again.FullName != "Ann" {
		t.Errorf("the account that stayed is used as it is under a new id, got %+v, %v", again, err)
	}

	fails("join", store.Join(ctx, "sales", "ann@contoso.com"), nil)
	fails("delete group", store.DeleteGroup(ctx, "Sales"), nil)
	fails("delete group twice", store.DeleteGroup(ctx, "Sales"), vault.ErrNotFound)
	_, err = store.AddGroup(ctx, "Sales")
	fails("add group again", err, nil)
	if got := members(); len(got) != 0 {
		t.Errorf("a new group has the old one's members: %v", got)
	}
}
