package vaulttest

import (
	"errors"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

func create(login string) vault.Change {
	return vault.Change{Op: vault.CreateUser, User: vault.User{LoginName: login}}
}

func TestMemory_faults(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")

	t.Run("the k-th change fails with the given error and is not made", func(t *testing.T) {
		t.Parallel()
		m := NewMemory()
		m.Fail = FailAt(2, broken)
		results := m.Apply(t.Context(), []vault.Change{create("a"), create("b"), create("c")})
		if results[0].Err != nil || !errors.Is(results[1].Err, broken) || results[2].Err != nil {
			t.Fatalf("got %v", results)
		}
		if found, err := m.Find(t.Context(), []vault.Query{{LoginName: "b"}}); err != nil || len(found[0]) != 0 {
			t.Errorf("the failed user is there: %v %v", found, err)
		}
		if got := m.Writes(); len(got) != 2 || got[1].User.LoginName != "c" {
			t.Errorf("writes %v", got)
		}
	})

	t.Run("a lost change is made and answers that its outcome is unknown", func(t *testing.T) {
		t.Parallel()
		m := NewMemory()
		m.Lose = func(c vault.Change) bool { return c.User.LoginName == "a" }
		results := m.Apply(t.Context(), []vault.Change{create("a"), create("b")})
		if !errors.Is(results[0].Err, vault.ErrUnknownOutcome) || results[0].ID != "" || results[1].Err != nil {
			t.Fatalf("got %v", results)
		}
		if found, err := m.Find(t.Context(), []vault.Query{{LoginName: "a"}}); err != nil || len(found[0]) != 1 {
			t.Errorf("the lost user is not there: %v %v", found, err)
		}
	})

	t.Run("a failing read yields what came before and then the error", func(t *testing.T) {
		t.Parallel()
		m := NewMemory()
		m.Apply(t.Context(), []vault.Change{create("a"), create("b")})
		m.FailRead = func(method string, yielded int) error {
			if method == "Users" && yielded == 1 {
				return broken
			}
			return nil
		}
		var users int
		var last error
		for _, err := range m.Users(t.Context()) {
			if last = err; err == nil {
				users++
			}
		}
		if users != 1 || !errors.Is(last, broken) {
			t.Errorf("%d users, then %v", users, last)
		}
	})

	t.Run("calls and changes are counted until forgotten", func(t *testing.T) {
		t.Parallel()
		m := NewMemory()
		m.Apply(t.Context(), []vault.Change{create("a"), create("b")})
		if _, err := m.Find(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if got, want := m.Calls(), (Calls{Apply: 1, Changes: 2, Find: 1}); got != want {
			t.Errorf("calls %+v, want %+v", got, want)
		}
		m.Forget()
		if m.Calls() != (Calls{}) || len(m.Writes()) != 0 {
			t.Error("not forgotten")
		}
	})

	t.Run("an account is shared elsewhere when the test says so", func(t *testing.T) {
		t.Parallel()
		m := NewMemory()
		m.Apply(t.Context(), []vault.Change{create("a")})
		if err := m.ShareAccount("A", true); err != nil {
			t.Fatal(err)
		}
		if found, err := m.Find(t.Context(), []vault.Query{{LoginName: "a"}}); err != nil || !found[0][0].SharedElsewhere {
			t.Errorf("found %v %v", found, err)
		}
		if err := m.ShareAccount("b", true); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})

	t.Run("a user deleted by hand leaves its login account and its groups", func(t *testing.T) {
		t.Parallel()
		m := NewMemory()
		id := m.Apply(t.Context(), []vault.Change{create("a")})[0].ID
		group := m.Apply(t.Context(), []vault.Change{{Op: vault.CreateGroup, Group: vault.Group{Name: "g"}}})[0].ID
		m.Apply(t.Context(), []vault.Change{{Op: vault.AddMembers, GroupID: group, Members: []string{id}}})
		if err := m.DeleteUser(id); err != nil {
			t.Fatal(err)
		}
		found, err := m.Find(t.Context(), []vault.Query{{LoginName: "A"}, {ID: id}})
		if err != nil || len(found[0]) != 1 || found[0][0].ID != "" || len(found[1]) != 0 {
			t.Errorf("found %v %v", found, err)
		}
		for g, err := range m.Groups(t.Context()) {
			if err != nil || len(g.Members) != 0 {
				t.Errorf("group %v %v", g, err)
			}
		}
		if err := m.DeleteGroup(group); err != nil {
			t.Error(err)
		}
		if err := m.DeleteUser(id); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
	})
}
