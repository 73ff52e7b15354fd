package vaulttest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

var findCases = []testCase{
	{"a user is found by each key, names and addresses in any case", func(t *testing.T, s *suite) {
		id := s.create(t, s.ann())
		s.create(t, s.bob())
		for _, q := range []vault.Query{
			{ID: id},
			{ExternalID: s.ann().ExternalID},
			{LoginName: "Ann@contoso.com"},
			{LoginName: "ANN@CONTOSO.COM"},
			{LoginName: "ann@contoso.com"},
			{Email: "Ann.Example@contoso.com"},
			{Email: "ann.example@CONTOSO.com"},
		} {
			if u := s.one(t, q); u.ID != id {
				t.Errorf("find %+v: got user %q, want %q", q, u.ID, id)
			}
		}
	}},
	{"names and addresses are found in any Unicode form", func(t *testing.T, s *suite) {
		u := s.ann()
		u.LoginName, u.Email = "J\u00fcrgen.Stra\u00dfe@contoso.com", "\u00c5sa@contoso.com"
		id := s.create(t, u)
		for _, q := range []vault.Query{
			{LoginName: "Ju\u0308rgen.Strasse@contoso.com"},
			{LoginName: "J\u00dcRGEN.STRASSE@CONTOSO.COM"},
			{Email: "A\u030asa@contoso.com"},
			{Email: "\u212bSA@contoso.com"},
		} {
			if got := s.one(t, q); got.ID != id || got.LoginName != u.LoginName || got.Email != u.Email {
				t.Errorf("find %+q: got %s", q, describe(got))
			}
		}
	}},
	{"part of a key finds nobody", func(t *testing.T, s *suite) {
		s.create(t, s.ann())
		for _, q := range []vault.Query{
			{ID: "no such id"},
			{ID: "999999"},
			{ExternalID: "11111111"},
			{ExternalID: "11111111-0000-4000-8000-00000000000"},
			{LoginName: "ann"},
			{LoginName: "ann@contoso.co"},
			{LoginName: "*"},
			{LoginName: `" or userName pr or userName eq "`},
			{Email: "example@contoso.com"},
			{Email: "%"},
			{Email: "Ann@contoso.com"},
		} {
			s.nobody(t, q)
		}
	}},
	{"answers come in the order of the queries", func(t *testing.T, s *suite) {
		ann, bob := s.create(t, s.ann()), s.create(t, s.bob())
		found, err := s.store.Find(t.Context(), []vault.Query{
			{LoginName: "bob@contoso.com"}, {ID: "no such id"}, {ID: ann}, {Email: "bob@contoso.com"}, {LoginName: "bob@contoso.com"},
		})
		if err != nil || len(found) != 5 {
			t.Fatalf("%d answers, %v", len(found), err)
		}
		for i, want := range []string{bob, "", ann, bob, bob} {
			if (want == "") != (len(found[i]) == 0) || want != "" && (len(found[i]) != 1 || found[i][0].ID != want) {
				t.Errorf("answer %d is %+v, want user %q", i, found[i], want)
			}
		}
		if found, err := s.store.Find(t.Context(), nil); err != nil || len(found) != 0 {
			t.Errorf("no queries: got %v, %v", found, err)
		}
	}},
	{"all users with one address are found by it", func(t *testing.T, s *suite) {
		ann, bob := s.ann(), s.bob()
		bob.Email = "ANN.EXAMPLE@contoso.com"
		want := map[string]bool{s.create(t, ann): true, s.create(t, bob): true}
		found := s.find(t, vault.Query{Email: ann.Email})
		if len(found) != 2 || !want[found[0].ID] || !want[found[1].ID] || found[0].ID == found[1].ID {
			t.Errorf("got %+v, want both", found)
		}
	}},
	{"a query that does not name exactly one field is an error", func(t *testing.T, s *suite) {
		s.create(t, s.ann())
		for _, q := range []vault.Query{{}, {LoginName: "ann@contoso.com", Email: "ann.example@contoso.com"}} {
			if found, err := s.store.Find(t.Context(), []vault.Query{q}); err == nil {
				t.Errorf("find %+v: got %+v and no error", q, found)
			}
		}
	}},
	{"a linked login account of a user deleted by hand is found without an id", func(t *testing.T, s *suite) {
		if s.DeleteUser == nil || s.AddAccount == nil {
			t.Skip("this store has no login accounts apart from users")
		}
		id := s.create(t, s.ann())
		s.DeleteUser(t, s.store, id)
		for _, q := range []vault.Query{{ExternalID: s.ann().ExternalID}, {LoginName: "ann@contoso.com"}, {Email: s.ann().Email}} {
			if u := s.one(t, q); u.ID != "" {
				t.Errorf("find %+v: got %+v", q, u)
			}
		}
	}},
	{"what a caller does with an answer does not change the store", func(t *testing.T, s *suite) {
		id := s.create(t, s.ann())
		s.one(t, vault.Query{ID: id}).Attributes[s.Attributes[0]] = "spoiled"
		s.users(t)[id].Attributes[s.Attributes[0]] = "spoiled"
		if got := s.one(t, vault.Query{ID: id}).Attributes[s.Attributes[0]]; got != "Sales" {
			t.Errorf("got %q", got)
		}
	}},
	{"reads with a cancelled context answer with its error, never with nothing", func(t *testing.T, s *suite) {
		s.create(t, s.ann())
		ctx, cancel := cancelled(t)
		defer cancel()
		if found, err := s.store.Find(ctx, []vault.Query{{LoginName: "ann@contoso.com"}}); !errors.Is(err, ctx.Err()) {
			t.Errorf("find: %v, %v", found, err)
		}
		var last error
		for _, err := range s.store.Users(ctx) {
			last = err
		}
		if !errors.Is(last, ctx.Err()) {
			t.Errorf("users: %v", last)
		}
		last = nil
		for _, err := range s.store.Groups(ctx) {
			last = err
		}
		if !errors.Is(last, ctx.Err()) {
			t.Errorf("groups: %v", last)
		}
	}},
	{"a listing can be left early", func(t *testing.T, s *suite) {
		s.create(t, s.ann())
		s.create(t, s.bob())
		s.createGroup(t, vault.Group{Name: "A"})
		s.createGroup(t, vault.Group{Name: "B"})
		for _, err := range s.store.Users(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		for _, err := range s.store.Groups(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		s.update(t, s.one(t, vault.Query{LoginName: "bob@contoso.com"}).ID, vault.Patch{FullName: new("Still Works")})
	}},
	{"users that do not change are all listed while others do", func(t *testing.T, s *suite) {
		ids := map[string]bool{}
		for _, r := range s.apply(t, manyUsers(s.Many)...) {
			ids[r.ID] = false
		}
		n := 0
		for u, err := range s.store.Users(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if seen, known := ids[u.ID]; seen {
				t.Fatalf("user %q is listed twice", u.ID)
			} else if known {
				ids[u.ID] = true
			}
			if n++; n%100 == 0 {
				// Between two users the store takes writes.
				s.create(t, vault.User{LoginName: fmt.Sprintf("late%d@contoso.com", n)})
				s.update(t, u.ID, vault.Patch{FullName: new("Renamed Meanwhile")})
			}
		}
		for id, seen := range ids {
			if !seen {
				t.Errorf("user %q is not listed", id)
			}
		}
	}},
}
