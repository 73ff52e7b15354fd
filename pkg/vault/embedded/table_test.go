package embedded

import (
	"slices"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

func TestExternalIDsAreGivenBackAsTheyWere(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for text, size := range map[string]int{
		"":                                     0,
		"e-17":                                 4,
		"a1000000-0000-4000-8000-000000000001": 17,
		"A1000000-0000-4000-8000-000000000001": 36, // another id: external ids are compared letter by letter
		"00000000-0000-0000-0000-000000000000": 36,
		"a1000000000040008000000000000001":     32,
		"exactly-seventeen":                    17,
	} {
		key := externalKey(text)
		if got := external(key); got != text || len(key) != size {
			t.Errorf("%q became %q, by way of %x", text, got, key)
		}
		if other, taken := seen[string(key)]; taken {
			t.Errorf("%q and %q have one key", text, other)
		}
		seen[string(key)] = text
	}
}

// TestStore_an_account_is_found_by_its_mail_address whatever becomes of login
// name and address: only those that differ are indexed.
func TestStore_an_account_is_found_by_its_mail_address(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	store := s.Vault("sales")
	check := func(step, email string, want ...string) {
		t.Helper()
		found, err := store.Find(t.Context(), []vault.Query{{Email: email}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range found[0] {
			got = append(got, u.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %s is that of %v, want %v", step, email, got, want)
		}
		verify(t, s)
	}
	patch := func(id string, p vault.Patch) {
		t.Helper()
		apply(t, store, vault.Change{Op: vault.UpdateUser, UserID: id, Patch: p})
	}
	bob := createUser("bob@contoso.com")
	bob.User.Email = "ann@contoso.com"
	apply(t, store, createUser("Ann@contoso.com"), bob)
	check("two have it, one as login name", "ANN@contoso.com", "1", "2")
	check("a login name is no mail address", "bob@contoso.com")
	patch("1", vault.Patch{LoginName: new("ann.b@contoso.com")})
	check("the login name is another", "ann@contoso.com", "1", "2")
	check("the new one is no mail address", "ann.b@contoso.com")
	patch("1", vault.Patch{Email: new("ann.b@contoso.com")})
	check("the address follows", "ann.b@contoso.com", "1")
	check("the old one is left to the other", "ann@contoso.com", "2")
	patch("2", vault.Patch{LoginName: new("ann@contoso.com")})
	check("who takes it as login name", "ann@contoso.com", "2")
	patch("2", vault.Patch{Email: new("")})
	check("who has none has none", "ann@contoso.com")
}
