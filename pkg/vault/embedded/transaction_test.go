package embedded

import (
	"errors"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

func TestServer_a_failed_commit_is_unknown_only_if_it_can_be_seen(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	cause := errors.New("the disk says no")
	last := revision(t, s)
	if err := s.afterFailedCommit(last, cause); !errors.Is(err, vault.ErrUnknownOutcome) || !errors.Is(err, cause) {
		t.Errorf("the transaction is in the file, got %v", err)
	}
	if err := s.afterFailedCommit(last+1, cause); !errors.Is(err, vault.ErrUnreachable) || !errors.Is(err, cause) {
		t.Errorf("the transaction is not in the file, got %v", err)
	}
}

func TestServer_a_panic_over_a_damaged_page_is_an_error_and_frees_the_store(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	for range 2 {
		err := s.update(t.Context(), func(*bbolt.Tx) (bool, error) { panic("page 7: invalid page type") })
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("update: %v", err)
		}
		if err := s.view(t.Context(), func(*bbolt.Tx) error { panic("page 7") }); !errors.Is(err, ErrDamaged) {
			t.Errorf("view: %v", err)
		}
	}
	apply(t, s.Vault("sales"), createUser("ann@contoso.com"))
}
