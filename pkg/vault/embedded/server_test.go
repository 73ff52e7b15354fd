package embedded

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// open opens a server whose file is verified when the test ends.
func open(t *testing.T, path string, o Options) *Server {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		verify(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func file(t *testing.T) string { return filepath.Join(t.TempDir(), "users.db") }

func apply(t *testing.T, s vault.Store, changes ...vault.Change) []vault.Result {
	t.Helper()
	results := s.Apply(t.Context(), changes)
	for i, r := range results {
		if r.Err != nil {
			t.Fatalf("change %d: %v", i, r.Err)
		}
	}
	return results
}

func createUser(login string) vault.Change {
	return vault.Change{Op: vault.CreateUser, User: vault.User{LoginName: login, Email: login, FullName: login}}
}

func verify(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Verify(context.Background()); err != nil && !errors.Is(err, vault.ErrUnreachable) {
		t.Error(err)
	}
}
