package embedded

import (
	"context"
	"errors"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

const (
	annID = "11111111-0000-4000-8000-000000000001"
	newID = "11111111-0000-4000-8000-000000000009"
)

func ann() vault.User {
	return vault.User{LoginName: "ann@contoso.com", FullName: "Ann Example", License: identity.LicenseNamed, ExternalID: annID, Managed: true}
}

func one(t *testing.T, s vault.Store, q vault.Query) vault.User {
	t.Helper()
	found, err := s.Find(t.Context(), []vault.Query{q})
	if err != nil || len(found[0]) != 1 {
		t.Fatalf("find %+v: %v, %v", q, found, err)
	}
	return found[0][0]
}

// revision changes with every commit.
func revision(t *testing.T, s *Server) int {
	t.Helper()
	var id int
	if err := s.view(context.Background(), func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestServer_vaults_share_login_accounts(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	sales, legal := s.Vault("sales"), s.Vault("legal")
	first := apply(t, sales, vault.Change{Op: vault.CreateUser, User: ann()})[0].ID

	if u := one(t, legal, vault.Query{ExternalID: annID}); u.ID != "" || u.ExternalID != annID || u.LoginName != "ann@contoso.com" {
		t.Errorf("the account is not found from the other vault: %+v", u)
	}
	second := apply(t, legal, vault.Change{Op: vault.CreateUser, User: ann()})[0].ID
	pools, err := legal.Licenses(t.Context())
	if err != nil || pools[0].Type != identity.LicenseNamed || pools[0].Used != 1 {
		t.Errorf("a user of two vaults uses one licence, got %v, %v", pools, err)
	}

	apply(t, legal, vault.Change{Op: vault.UpdateUser, UserID: second, Patch: vault.Patch{LoginName: new("ann.new@contoso.com"), Enabled: new(false)}})
	if u := one(t, sales, vault.Query{ID: first}); u.LoginName != "ann.new@contoso.com" || !u.Enabled {
		t.Errorf("the name is shared and the enabled state is not, got %+v", u)
	}
	if u := one(t, legal, vault.Query{ID: second}); u.Enabled {
		t.Errorf("got %+v", u)
	}
	if err := sales.DeleteUser(t.Context(), "ANN.new@contoso.com"); err != nil {
		t.Fatal(err)
	}
	if u := one(t, sales, vault.Query{LoginName: "ann.new@contoso.com"}); u.ID != "" {
		t.Errorf("deleted, but %+v", u)
	}
	if u := one(t, legal, vault.Query{ID: second}); u.LoginName != "ann.new@contoso.com" {
		t.Errorf("the other vault's user is gone: %+v", u)
	}
}

func TestServer_links(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	sales, legal, hr := s.Vault("sales"), s.Vault("legal"), s.Vault("hr")
	inSales := apply(t, sales, vault.Change{Op: vault.CreateUser, User: ann()})[0].ID
	inLegal := apply(t, legal, vault.Change{Op: vault.CreateUser, User: ann()})[0].ID

	// The person was made again in the directory and one vault relinks.
	apply(t, sales, vault.Change{Op: vault.UpdateUser, UserID: inSales, Patch: vault.Patch{ExternalID: new(newID)}})
	if u := one(t, legal, vault.Query{ExternalID: annID}); u.ID != inLegal || u.ExternalID != annID {
		t.Errorf("the other vault keeps its link, got %+v", u)
	}
	if found, err := legal.Find(t.Context(), []vault.Query{{ExternalID: newID}}); err != nil || len(found[0]) != 0 {
		t.Errorf("a user that is linked otherwise matches: %v, %v", found, err)
	}
	if u := one(t, hr, vault.Query{ExternalID: newID}); u.ID != "" || u.LoginName != "ann@contoso.com" {
		t.Errorf("a vault without the user finds the newest link, got %+v", u)
	}
	apply(t, legal, vault.Change{Op: vault.UpdateUser, UserID: inLegal, Patch: vault.Patch{ExternalID: new(newID)}})

	// Another login account cannot take the id, in whichever vault.
	bob := vault.User{LoginName: "bob@contoso.com", ExternalID: newID}
	for _, store := range []vault.Store{sales, hr} {
		if r := store.Apply(t.Context(), []vault.Change{{Op: vault.CreateUser, User: bob}})[0]; !errors.Is(r.Err, vault.ErrExists) {
			t.Errorf("got %v", r.Err)
		}
	}
	apply(t, sales, vault.Change{Op: vault.UpdateUser, UserID: inSales, Patch: vault.Patch{ExternalID: new("")}})
	if u := one(t, sales, vault.Query{ID: inSales}); u.ExternalID != "" {
		t.Errorf("not unlinked: %+v", u)
	}
}

func TestServer_an_unlinked_account_remembers_its_first_link(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	if _, err := s.Vault("hr").AddUser(t.Context(), vault.User{LoginName: "Ann@contoso.com", License: identity.LicenseReadOnly}); err != nil {
		t.Fatal(err)
	}
	apply(t, s.Vault("sales"), vault.Change{Op: vault.CreateUser, User: ann()})
	u := one(t, s.Vault("legal"), vault.Query{ExternalID: annID})
	if u.LoginName != "Ann@contoso.com" || u.Managed || u.License != identity.LicenseReadOnly {
		t.Errorf("the account made by hand has changed: %+v", u)
	}
	if u := one(t, s.Vault("hr"), vault.Query{LoginName: "ann@contoso.com"}); u.ExternalID != "" || u.Managed {
		t.Errorf("another vault's user was linked: %+v", u)
	}
}

func TestServer_an_account_is_shared_while_another_vault_has_it_enabled(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	sales, legal := s.Vault("sales"), s.Vault("legal")
	shared := func(store vault.Store) bool {
		t.Helper()
		u := one(t, store, vault.Query{LoginName: "ann@contoso.com"})
		for listed, err := range store.Users(t.Context()) {
			if err != nil || listed.SharedElsewhere != u.SharedElsewhere {
				t.Errorf("listed as %+v, found as %+v, %v", listed, u, err)
			}
		}
		return u.SharedElsewhere
	}
	given := ann()
	given.SharedElsewhere = true // what a caller says of it does not count
	apply(t, sales, vault.Change{Op: vault.CreateUser, User: given})
	steps := []struct {
		does         string
		do           func() error
		sales, legal bool
	}{
		{"one vault", func() error { return nil }, false, true},
		{"two vaults", func() error { _, err := legal.AddUser(t.Context(), ann()); return err }, true, true},
		{"disabled here", func() error { return sales.DisableUser(t.Context(), "ann@contoso.com") }, true, false},
		{"disabled here again", func() error { return sales.DisableUser(t.Context(), "ann@contoso.com") }, true, false},
		{"disabled in both", func() error { return legal.DisableUser(t.Context(), "ann@contoso.com") }, false, false},
		{"enabled there", func() error { return legal.EnableUser(t.Context(), "ann@contoso.com") }, true, false},
		{"deleted there", func() error { return legal.DeleteUser(t.Context(), "ann@contoso.com") }, false, false},
		{"enabled here", func() error { return sales.EnableUser(t.Context(), "ann@contoso.com") }, false, true},
		{"deleted here", func() error { return sales.DeleteUser(t.Context(), "ann@contoso.com") }, false, false},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.does, err)
		}
		if inSales, inLegal := shared(sales), shared(legal); inSales != step.sales || inLegal != step.legal {
			t.Errorf("%s: shared %v in sales, %v in legal; want %v, %v", step.does, inSales, inLegal, step.sales, step.legal)
		}
		verify(t, s)
	}
}

func TestServer_unlinking_takes_no_other_link_away(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	apply(t, s.Vault("sales"), vault.Change{Op: vault.CreateUser, User: ann()})
	relinked := ann()
	relinked.ExternalID = newID
	id := apply(t, s.Vault("legal"), vault.Change{Op: vault.CreateUser, User: relinked})[0].ID
	apply(t, s.Vault("legal"), vault.Change{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{ExternalID: new("")}})
	if u := one(t, s.Vault("hr"), vault.Query{ExternalID: annID}); u.LoginName != "ann@contoso.com" {
		t.Errorf("got %+v", u)
	}
}

func TestStore_keys_that_only_look_like_stored_ones_find_nobody(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	apply(t, s.Vault("sales"), createUser("ann@contoso.com"))
	for _, q := range []vault.Query{
		{ID: "01"},
		{ID: "+1"},
		{ID: "0"},
		{ID: "18446744073709551617"},
		{Email: "ann@contoso.com\x00"},
		{Email: "ann@contoso.com\x00\x00\x00\x00\x00\x00\x00\x00\x01"},
		{LoginName: "ann@contoso.com\x00"},
	} {
		if found, err := s.Vault("sales").Find(t.Context(), []vault.Query{q}); err != nil || len(found[0]) != 0 {
			t.Errorf("find %+v: %v, %v", q, found, err)
		}
	}
}

func TestServer_identities_differ(t *testing.T) {
	t.Parallel()
	first, second := open(t, file(t), Options{}), open(t, file(t), Options{})
	seen := map[string]bool{}
	for _, store := range []*Store{first.Vault("sales"), first.Vault("legal"), first.Vault("Sales"), second.Vault("sales")} {
		id, err := store.Identity(t.Context())
		if err != nil || seen[id] {
			t.Errorf("identity %q twice, or %v", id, err)
		}
		seen[id] = true
	}
}

func TestServer_what_changes_nothing_writes_nothing(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	empty := s.Vault("empty")
	before := revision(t, s)
	for _, err := range empty.Users(t.Context()) {
		t.Errorf("a user or an error in an empty vault: %v", err)
	}
	if r := empty.Apply(t.Context(), []vault.Change{{Op: vault.UpdateUser, UserID: "1"}})[0]; !errors.Is(r.Err, vault.ErrNotFound) {
		t.Errorf("got %v", r.Err)
	}
	if after := revision(t, s); after != before {
		t.Error("reading, or failing, wrote to the file")
	}

	store := s.Vault("sales")
	u := ann()
	u.Attributes = map[string]string{"info1": "Sales"}
	id := apply(t, store, vault.Change{Op: vault.CreateUser, User: u})[0].ID
	group := apply(t, store, vault.Change{Op: vault.CreateGroup, Group: vault.Group{Name: "Sales"}})[0].ID
	apply(t, store, vault.Change{Op: vault.AddMembers, GroupID: group, Members: []string{id}})
	before = revision(t, s)
	for range 3 {
		apply(t, store,
			vault.Change{Op: vault.UpdateUser, UserID: id},
			vault.Change{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{
				LoginName: &u.LoginName, FullName: &u.FullName, Enabled: new(true), License: &u.License,
				ExternalID: &u.ExternalID, Managed: &u.Managed, Attributes: map[string]string{"info1": "Sales", "info2": ""},
			}},
			vault.Change{Op: vault.AddMembers, GroupID: group, Members: []string{id}},
			vault.Change{Op: vault.RemoveMembers, GroupID: group, Members: []string{"77"}},
			vault.Change{Op: vault.UpdateGroup, GroupID: group, Patch: vault.Patch{Name: new("Sales")}},
		)
	}
	if after := revision(t, s); after != before {
		t.Errorf("%d transactions were written", after-before)
	}
}

func TestServer_a_lowered_count_takes_no_licence_away(t *testing.T) {
	t.Parallel()
	path := file(t)
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s.Vault("sales"), vault.Change{Op: vault.CreateUser, User: ann()})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{Licenses: []Pool{{identity.LicenseNamed, 0}}})
	pools, err := s.Vault("sales").Licenses(t.Context())
	if err != nil || pools[0] != (vault.Pool{Type: identity.LicenseNamed, Count: 0, Used: 1}) {
		t.Errorf("got %v, %v", pools, err)
	}
	bob := vault.User{LoginName: "bob@contoso.com", License: identity.LicenseNamed}
	if r := s.Vault("sales").Apply(t.Context(), []vault.Change{{Op: vault.CreateUser, User: bob}})[0]; !errors.Is(r.Err, vault.ErrNoLicense) {
		t.Errorf("got %v", r.Err)
	}
}

func TestStore_a_vault_needs_a_name(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	if r := s.Vault("").Apply(t.Context(), []vault.Change{createUser("a")})[0]; !errors.Is(r.Err, vault.ErrInvalid) {
		t.Errorf("got %v", r.Err)
	}
}
