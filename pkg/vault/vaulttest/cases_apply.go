package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

var applyCases = []testCase{
	{"no changes have no results", func(t *testing.T, s *suite) {
		if results := s.store.Apply(t.Context(), nil); len(results) != 0 {
			t.Errorf("got %v", results)
		}
	}},
	{"each change is answered on its own and a failed one stops none", func(t *testing.T, s *suite) {
		results := s.store.Apply(t.Context(), []vault.Change{
			{Op: vault.CreateUser, User: s.ann()},
			{Op: vault.CreateUser, User: s.ann()},
			{Op: vault.UpdateUser, UserID: "999999", Patch: vault.Patch{FullName: new("X")}},
			{Op: vault.CreateUser},
			{Op: vault.CreateGroup, Group: vault.Group{Name: "Sales"}},
			{Op: vault.CreateUser, User: s.bob()},
		})
		for i, want := range []error{nil, vault.ErrExists, vault.ErrNotFound, vault.ErrInvalid, nil, nil} {
			checkKind(t, i, results[i], want)
		}
		if users, groups := s.users(t), s.groups(t); len(users) != 2 || len(groups) != 1 {
			t.Errorf("users %v, groups %v", users, groups)
		}
	}},
	{"changes are made in order", func(t *testing.T, s *suite) {
		ann, bob := s.create(t, s.ann()), s.create(t, s.bob())
		rename := func(id, login string) vault.Change {
			return vault.Change{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{LoginName: &login}}
		}
		s.apply(t, rename(ann, "between@contoso.com"), rename(bob, "ann@contoso.com"), rename(ann, "bob@contoso.com"))
		users := s.users(t)
		if users[ann].LoginName != "bob@contoso.com" || users[bob].LoginName != "ann@contoso.com" {
			t.Errorf("got %v", users)
		}
	}},
	{"many changes in one call are all made", func(t *testing.T, s *suite) {
		results := s.apply(t, manyUsers(s.Many)...)
		ids := make([]string, 0, s.Many)
		distinct := map[string]bool{}
		for _, r := range results {
			ids = append(ids, r.ID)
			distinct[r.ID] = true
		}
		if len(distinct) != s.Many || len(s.users(t)) != s.Many {
			t.Fatalf("%d ids, %d users, want %d", len(distinct), len(s.users(t)), s.Many)
		}
		group := s.createGroup(t, vault.Group{Name: "Everybody"})
		s.apply(t, vault.Change{Op: vault.AddMembers, GroupID: group, Members: ids})
		s.members(t, group, ids...)
		var queries []vault.Query
		for i := range s.Many {
			queries = append(queries, vault.Query{LoginName: fmt.Sprintf("USER%05d@contoso.com", i)})
		}
		found, err := s.store.Find(t.Context(), queries)
		if err != nil || len(found) != len(queries) {
			t.Fatalf("%d answers, %v", len(found), err)
		}
		for i := range found {
			if len(found[i]) != 1 || found[i][0].ID != ids[i] {
				t.Fatalf("query %d: got %v, want user %q", i, found[i], ids[i])
			}
		}
		s.apply(t, vault.Change{Op: vault.RemoveMembers, GroupID: group, Members: ids[1:]})
		s.members(t, group, ids[0])
	}},
	{"changes that were not begun answer with the context's error and are not made", func(t *testing.T, s *suite) {
		ctx, cancel := cancelled(t)
		defer cancel()
		results := s.store.Apply(ctx, manyUsers(3))
		if len(results) != 3 {
			t.Fatalf("%d results, want 3", len(results))
		}
		for i, r := range results {
			if !errors.Is(r.Err, context.Canceled) || r.ID != "" {
				t.Errorf("result %d: %+v", i, r)
			}
		}
		if users := s.users(t); len(users) != 0 {
			t.Errorf("got %v", users)
		}
	}},
	{"a call that is cancelled half-way tells what was made from what was not", func(t *testing.T, s *suite) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan []vault.Result)
		go func() { done <- s.store.Apply(ctx, manyUsers(s.Many)) }()
		cancel()
		users := 0
		for i, r := range <-done {
			switch {
			case r.Err == nil:
				users++
				s.one(t, vault.Query{ID: r.ID})
			case errors.Is(r.Err, vault.ErrUnknownOutcome):
				users += len(s.find(t, vault.Query{LoginName: fmt.Sprintf("user%05d@contoso.com", i)}))
			case !errors.Is(r.Err, context.Canceled):
				t.Fatalf("result %d: %v", i, r.Err)
			}
		}
		if got := len(s.users(t)); got != users {
			t.Errorf("%d users, but %d answered as made", got, users)
		}
	}},
	{"a name wanted by several at once is given to one", func(t *testing.T, s *suite) {
		const rivals = 8
		var wg sync.WaitGroup
		results := make([]vault.Result, rivals)
		for i := range rivals {
			wg.Go(func() {
				u := vault.User{LoginName: "one@contoso.com", ExternalID: fmt.Sprintf("e%d", i)}
				results[i] = s.store.Apply(t.Context(), []vault.Change{{Op: vault.CreateUser, User: u}})[0]
			})
		}
		wg.Wait()
		made := 0
		for i, r := range results {
			if r.Err == nil {
				made++
			} else if !errors.Is(r.Err, vault.ErrExists) {
				t.Errorf("result %d: %v", i, r.Err)
			}
		}
		if users := s.users(t); made != 1 || len(users) != 1 {
			t.Errorf("%d answered as made, %d users", made, len(users))
		}
	}},
	{"several callers at once lose nothing", func(t *testing.T, s *suite) {
		const callers, each = 6, 20
		group := s.createGroup(t, vault.Group{Name: "Sales"})
		var wg sync.WaitGroup
		var mu sync.Mutex
		var ids []string
		for caller := range callers {
			wg.Go(func() {
				for i := range each {
					login := fmt.Sprintf("caller%d.user%d@contoso.com", caller, i)
					created := s.store.Apply(t.Context(), []vault.Change{{Op: vault.CreateUser, User: vault.User{LoginName: login}}})[0]
					joined := s.store.Apply(t.Context(), []vault.Change{{Op: vault.AddMembers, GroupID: group, Members: []string{created.ID}}})[0]
					_, err := s.store.Find(t.Context(), []vault.Query{{LoginName: login}})
					if err := errors.Join(created.Err, joined.Err, err); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					ids = append(ids, created.ID)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if got := len(s.users(t)); got != callers*each {
			t.Errorf("%d users, want %d", got, callers*each)
		}
		s.members(t, group, ids...)
	}},
}

// manyUsers are changes that create n users with nothing but names.
func manyUsers(n int) []vault.Change {
	changes := make([]vault.Change, n)
	for i := range changes {
		changes[i] = vault.Change{Op: vault.CreateUser, User: vault.User{
			LoginName: fmt.Sprintf("user%05d@contoso.com", i), Email: fmt.Sprintf("user%05d@contoso.com", i), FullName: fmt.Sprintf("User %d", i),
		}}
	}
	return changes
}

func cancelled(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

func checkKind(t *testing.T, i int, r vault.Result, want error) {
	t.Helper()
	if want == nil && (r.Err != nil) || want != nil && !errors.Is(r.Err, want) {
		t.Errorf("result %d: error %v, want %v", i, r.Err, want)
	}
}
