package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// victimFile names the file that a child process of TestServer_killed writes
// to until it is killed.
const victimFile = "EMBEDDED_TEST_VICTIM_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(victimFile); path != "" {
		fmt.Println("failed:", victim(path)) // only a failure ends it
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// victim writes batches of users into a group and reports each login name once
// it was answered as made.
func victim(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	fmt.Println("open")
	store, ctx := s.Vault("sales"), context.Background()
	if _, err := store.AddGroup(ctx, "Sales"); err != nil && !errors.Is(err, vault.ErrExists) {
		return err
	}
	for batch := 0; ; batch++ {
		var changes []vault.Change
		for i := range 40 {
			c := createUser(fmt.Sprintf("p%d.b%d.u%d@contoso.com", os.Getpid(), batch, i))
			c.User.License, c.User.ExternalID = identity.LicenseNamed, fmt.Sprintf("%d.%d.%d", os.Getpid(), batch, i)
			changes = append(changes, c)
		}
		members := vault.Change{Op: vault.AddMembers, GroupID: "1"}
		for i, r := range store.Apply(ctx, changes) {
			if r.Err != nil {
				return r.Err
			}
			fmt.Println(changes[i].User.LoginName)
			members.Members = append(members.Members, r.ID)
		}
		if r := store.Apply(ctx, []vault.Change{members})[0]; r.Err != nil {
			return r.Err
		}
		if err := store.DeleteUser(ctx, changes[0].User.LoginName); err != nil {
			return err
		}
	}
}

func TestServer_killed_at_any_point_leaves_a_whole_store_with_all_that_was_answered(t *testing.T) {
	t.Parallel()
	path := file(t)
	answered := map[string]bool{}
	// The first rounds hit the making of the file, the others batches.
	for round := range 14 {
		lines := max(0, round-4) * 17
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), victimFile+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		scanner := bufio.NewScanner(out)
		for range lines {
			if !scanner.Scan() {
				t.Fatal("the child ended by itself")
			}
			if line := scanner.Text(); line != "open" {
				answered[line] = true
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for scanner.Scan() { // what it said before it died
			if line := scanner.Text(); line != "open" {
				answered[line] = true
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child was not killed")
		}

		s, err := Open(path, Options{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		verify(t, s)
		for login := range answered {
			// A login account stays, whether or not its user was deleted.
			one(t, s.Vault("sales"), vault.Query{LoginName: login})
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(answered) == 0 {
		t.Error("no child got as far as writing")
	}
}

func TestServer_a_full_disk_leaves_nothing_half_done(t *testing.T) {
	t.Parallel()
	path := file(t)
	s, err := Open(path, Options{maxSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	store := s.Vault("sales")
	made, batch := 0, 0
	var failed []vault.Result
	for ; failed == nil; batch++ {
		var changes []vault.Change
		for i := range 200 {
			changes = append(changes, createUser(fmt.Sprintf("b%d.u%d@contoso.com", batch, i)))
		}
		changes = append(changes, vault.Change{Op: vault.UpdateUser, UserID: "999999"})
		results := store.Apply(t.Context(), changes)
		if results[0].Err == nil {
			made += 200
			continue
		}
		failed = results
	}
	for i, r := range failed {
		want := vault.ErrUnreachable
		if i == 200 {
			want = vault.ErrNotFound // its own answer, whatever became of the others
		}
		if !errors.Is(r.Err, want) || r.ID != "" {
			t.Fatalf("result %d: %+v, want %v", i, r, want)
		}
	}
	if hintOf(failed[0].Err) == "" {
		t.Error("no hint")
	}
	count := func(s *Server) int {
		t.Helper()
		n := 0
		for _, err := range s.Vault("sales").Users(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	if got := count(s); got != made {
		t.Errorf("%d users, want the %d that were answered as made", got, made)
	}
	// The store goes on working as far as it can, and in full once there is room.
	apply(t, store, vault.Change{Op: vault.UpdateUser, UserID: "1", Patch: vault.Patch{Enabled: new(false)}})
	verify(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	apply(t, s.Vault("sales"), createUser("after@contoso.com"))
	if got := count(s); got != made+1 {
		t.Errorf("%d users, want %d", got, made+1)
	}
}
