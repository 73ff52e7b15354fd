package embedded

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// BenchmarkFirstImport makes 100,000 users and puts them into 50 groups, five
// each.
func BenchmarkFirstImport(b *testing.B) {
	const people, groups, each = 100_000, 50, 5
	for b.Loop() {
		b.StopTimer()
		s, err := Open(filepath.Join(b.TempDir(), "users.db"), Options{})
		if err != nil {
			b.Fatal(err)
		}
		store := s.Vault("sales")
		changes := make([]vault.Change, people)
		for i := range changes {
			login := fmt.Sprintf("person%06d@contoso.com", i*7919%people)
			changes[i] = vault.Change{Op: vault.CreateUser, User: vault.User{
				LoginName: login, Email: login, FullName: "Person " + login, License: identity.LicenseNamed, Managed: true,
				ExternalID: fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(i*2654435761), i),
				Attributes: map[string]string{"info1": "Sales"},
			}}
		}
		b.StartTimer()
		results := store.Apply(b.Context(), changes)
		var members []vault.Change
		for g := range groups {
			id := store.Apply(b.Context(), []vault.Change{{Op: vault.CreateGroup, Group: vault.Group{Name: fmt.Sprint("group ", g)}}})[0].ID
			c := vault.Change{Op: vault.AddMembers, GroupID: id}
			for k := range people * each / groups {
				c.Members = append(c.Members, results[(k*31+g*7)%people].ID)
			}
			members = append(members, c)
		}
		for _, r := range append(results, store.Apply(b.Context(), members)...) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkUsers lists 100,000 users.
func BenchmarkUsers(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "users.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	store := s.Vault("sales")
	changes := make([]vault.Change, 100_000)
	for i := range changes {
		changes[i] = createUser(fmt.Sprintf("person%06d@contoso.com", i))
	}
	store.Apply(b.Context(), changes)
	for b.Loop() {
		n := 0
		for _, err := range store.Users(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != len(changes) {
			b.Fatalf("%d users", n)
		}
	}
}
