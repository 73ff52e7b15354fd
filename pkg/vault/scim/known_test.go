package scim

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/scim/scimtest"
)

func TestLicensesThatRunOut(t *testing.T) {
	t.Parallel()
	const words = "Seat limit reached"
	for _, c := range []struct {
		name   string
		status int
		detail string
		told   string // Options.LicenseExhausted
		want   error
	}{
		{"402 means nothing else", 402, "", "", vault.ErrNoLicense},
		{"a refusal in words that are configured", 403, "Seat limit reached for contoso", "seat LIMIT", vault.ErrNoLicense},
		{"a conflict in words that are configured", 409, words, words, vault.ErrNoLicense},
		{"a refusal in other words is a refusal", 403, "Not allowed", words, vault.ErrInvalid},
		{"a conflict without them is a conflict", 409, "userName is taken", words, vault.ErrExists},
		{"words that nobody has configured mean nothing", 403, words, "", vault.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := &scimtest.Server{Fault: func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet {
					return false
				}
				w.WriteHeader(c.status)
				fmt.Fprintf(w, `{"detail":%q}`, c.detail)
				return true
			}}
			id := server.Add(map[string]any{"userName": "bob@contoso.com"})
			store := inProcess(t, server, Options{LicenseExhausted: c.told})
			changes := append(create(ann()), vault.Change{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{Enabled: new(true)}})
			for i, r := range store.Apply(t.Context(), changes) {
				if !errors.Is(r.Err, c.want) || errors.Is(r.Err, vault.ErrNoLicense) != errors.Is(c.want, vault.ErrNoLicense) {
					t.Errorf("change %d: %v, want %v", i, r.Err, c.want)
				}
			}
		})
	}
}

func TestHiddenMembersAreRemembered(t *testing.T) {
	t.Parallel()
	server := &scimtest.Server{Quirks: scimtest.Quirks{HidesMembers: true}}
	var found []bool
	store := inProcess(t, server, Options{MembersFound: func(hidden bool) { found = append(found, hidden) }})
	id := store.Apply(t.Context(), create(ann()))[0].ID
	group := store.Apply(t.Context(), []vault.Change{{Op: vault.CreateGroup, Group: vault.Group{Name: "Sales"}}})[0].ID
	store.Apply(t.Context(), []vault.Change{{Op: vault.AddMembers, GroupID: group, Members: []string{id}}})
	if len(found) != 1 || !found[0] {
		t.Fatalf("told %v, want that they are hidden, once", found)
	}
	unknown := func(s *Store) (all bool) {
		for g, err := range s.Groups(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			all = g.MembersUnknown
		}
		return all
	}
	if !unknown(inProcess(t, server, Options{MembersHidden: true})) {
		t.Error("the next program takes the group for empty")
	}
	if unknown(inProcess(t, server, Options{})) {
		t.Error("without the memory the group should look empty: this test tests nothing")
	}
	// A service that was mended is believed again.
	server.Quirks.HidesMembers, found = false, nil
	mended := inProcess(t, server, Options{MembersHidden: true, MembersFound: func(hidden bool) { found = append(found, hidden) }})
	if unknown(mended) || len(found) != 1 || found[0] {
		t.Errorf("after it was mended: told %v", found)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	server := &scimtest.Server{Quirks: scimtest.Quirks{CaseSensitiveFilters: true, NoPatch: true, HidesMembers: true, Bulk: 30}}
	for _, u := range numbered(150) {
		server.Add(map[string]any{"userName": u.LoginName})
	}
	store := inProcess(t, server, Options{LicenseAttribute: info2})
	text := func(id string) string {
		return strings.Join(store.Describe(id, []string{"attributes." + info1, "attributes.gone", "email", "fullName", "loginName", "active", "license"}), "\n")
	}
	if got := text("a/b"); !strings.Contains(got, "https://scim.contoso.com/v2/Users/a%2Fb") || !strings.Contains(got, "not been asked since") || store.Requests() != 0 {
		t.Errorf("before anything was asked, after %d requests:\n%s", store.Requests(), got)
	}
	if _, err := store.Find(t.Context(), []vault.Query{{LoginName: "USER0001@contoso.com"}}); err != nil {
		t.Fatal(err)
	}
	store.membersAre(membersHidden)
	asked := store.Requests()
	got := text("id-7")
	for _, want := range []string{
		"/Users/id-7", "written: " + info1 + `, emails[type eq "work"].value, displayName, userName, active, ` + info2, "last said 200 OK to GET /Users",
		"no PATCH", "bulk requests of up to 30", "filter by userName is not believed", "does not show the members",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
	if store.Requests() != asked {
		t.Error("it asked the service")
	}
	if got := text(""); !strings.Contains(got, "no resource of this person") {
		t.Errorf("without an account:\n%s", got)
	}
}

// identity.Fold takes ß for ss, as the directory does; services differ. A name
// in ASCII is asked for by filter, where the service's own rule decides, and the
// create after it is held to the same rule: nobody gets two accounts by it, and
// nobody somebody else's.
func TestSharpS(t *testing.T) {
	t.Parallel()
	const plainName, sharp = "strasse@contoso.com", "straße@contoso.com"
	for name, q := range map[string]scimtest.Quirks{"as in the standard": {}, "listing, for filters that mind the case": {CaseSensitiveFilters: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &scimtest.Server{Quirks: q}
			for _, u := range numbered(150) {
				server.Add(map[string]any{"userName": u.LoginName})
			}
			owner := vault.User{LoginName: sharp, ExternalID: "44444444-0000-4000-8000-000000000001"}
			newcomer := vault.User{LoginName: plainName, ExternalID: "44444444-0000-4000-8000-000000000002"}
			store := inProcess(t, server, Options{})
			if r := store.Apply(t.Context(), create(owner))[0]; r.Err != nil {
				t.Fatal(r.Err)
			}
			found, err := store.Find(t.Context(), []vault.Query{{ExternalID: newcomer.ExternalID}, {LoginName: plainName}})
			if err != nil || len(found[0]) > 0 {
				t.Fatal(found, err)
			}
			for _, u := range found[1] {
				if u.ExternalID != owner.ExternalID {
					t.Errorf("somebody else is found: %+v", u)
				}
			}
			// Whoever is found says whose it is, so that it is no match; and the
			// create makes a second account only where the service has two names.
			r := store.Apply(t.Context(), create(newcomer))[0]
			if n := len(server.Users()); r.Err != nil || n != 152 {
				t.Errorf("%+v, %d users", r, n)
			}
			again, err := store.Find(t.Context(), []vault.Query{{ExternalID: newcomer.ExternalID}})
			if err != nil || len(again[0]) != 1 || again[0][0].ID != r.ID {
				t.Errorf("%+v, %v", again, err)
			}
		})
	}
}
