package snapshot

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// found is what a reader sees of three people after a batch.
func found(t *testing.T, s *Snapshot) (intents []identity.ObjectID, people map[identity.ObjectID]Account) {
	t.Helper()
	people = map[identity.ObjectID]Account{}
	if err := s.Read(func(tx *Tx) error {
		intents = tx.Intents()
		for a, err := range tx.Accounts() {
			if err != nil {
				return err
			}
			people[a.Person] = a
		}
		return tx.checkPeople()
	}); err != nil {
		t.Fatal(err)
	}
	return intents, people
}

// begun is a file with a batch that has not ended: ann, who waits with a
// problem, is to be made, bob is to be taken over and cid to be disabled.
func begun(t *testing.T, path string) *Snapshot {
	t.Helper()
	s := open(t, path)
	waiting := ann()
	waiting.State, waiting.UserID, waiting.Problem, waiting.Tries = Waiting, "", "the store said no", 3
	put(t, s, waiting, Account{Person: person(3), Number: 3, State: Active, UserID: "3"})
	toMake := ann()
	toMake.Fields["fullName"] = Field{Value: "Ann", Written: true}
	toTake := Account{Person: person(2), Number: 2, State: Active, UserID: "22", Adopted: true, Fields: map[string]Field{"loginName": {Value: "bob@contoso.com"}}}
	write(t, s, func(tx *Tx) error {
		return tx.Begin([]Intent{{Person: person(1), Account: &toMake}, {Person: person(2), Account: &toTake}, {Person: person(3)}})
	})
	return s
}

// checkOpen wants the batch of begun to be known as open.
func checkOpen(t *testing.T, s *Snapshot) {
	t.Helper()
	intents, people := found(t, s)
	if !slices.Equal(intents, []identity.ObjectID{person(1), person(2), person(3)}) {
		t.Errorf("open intents: %v", intents)
	}
	a, b, c := people[person(1)], people[person(2)], people[person(3)]
	if a.State != Waiting || a.UserID != "" || a.Fields["fullName"].Value != "Ann" || a.Problem != "the store said no" || a.Tries != 3 {
		t.Errorf("who was to be made: %+v", a)
	}
	if b.State != Waiting || b.UserID != "" || !b.Adopted || b.Login() != "bob@contoso.com" {
		t.Errorf("who was to be taken over: %+v", b)
	}
	if c.State != Active || c.UserID != "3" {
		t.Errorf("who was to be disabled: %+v", c)
	}
	if err := s.Read(func(tx *Tx) error {
		left, err := tx.batch()
		if len(left) > 0 {
			t.Errorf("still noted: %v", left)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()

	t.Run("a batch that ended has left nothing", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "sales.db")
		s := begun(t, path)
		write(t, s, (*Tx).End)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if intents, people := found(t, open(t, path)); len(intents) > 0 || len(people) != 2 || people[person(1)].Fields["fullName"].Value != "" {
			t.Errorf("intents %v, people %v", intents, people)
		}
	})

	t.Run("while it is being made, readers see what was before", func(t *testing.T) {
		t.Parallel()
		s := begun(t, filepath.Join(t.TempDir(), "sales.db"))
		if intents, people := found(t, s); len(intents) > 0 || len(people) != 2 {
			t.Errorf("intents %v, people %v", intents, people)
		}
	})

	t.Run("a process that died in it leaves open intents, and people who wait", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := begun(t, filepath.Join(dir, "sales.db"))
		if err := s.Backup(filepath.Join(dir, "copy.db")); err != nil {
			t.Fatal(err)
		}
		again := open(t, filepath.Join(dir, "copy.db"))
		checkOpen(t, again)
	})

	t.Run("outcomes that cannot be written leave the same to the next reader", func(t *testing.T) {
		t.Parallel()
		s := begun(t, filepath.Join(t.TempDir(), "sales.db"))
		full := errors.New("disk full")
		if err := s.Write(func(tx *Tx) error { return errors.Join(tx.PutAccount(ann()), tx.End(), full) }); !errors.Is(err, full) {
			t.Fatalf("got %v", err)
		}
		checkOpen(t, s)
	})

	t.Run("the next batch does not cover one that never ended", func(t *testing.T) {
		t.Parallel()
		s := begun(t, filepath.Join(t.TempDir(), "sales.db"))
		write(t, s, func(tx *Tx) error {
			return errors.Join(tx.Begin([]Intent{{Person: person(9)}}), tx.End())
		})
		checkOpen(t, s)
	})

	t.Run("a batch that cannot be read keeps the file from being opened, and is damage", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "sales.db")
		s := begun(t, path)
		write(t, s, func(tx *Tx) error { return tx.tx.Bucket(bucketBatch).Put(keyBatch, []byte("damaged")) })
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(path, "sales", tenant)
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v", err)
			if err == nil {
				_ = again.Close()
			}
		}
	})
}
