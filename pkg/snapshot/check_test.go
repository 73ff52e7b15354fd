package snapshot

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	names := []string{"ann@contoso.com", "bob@contoso.com", "eve@contoso.com", "Ann@Contoso.com", ""}
	t.Run("whatever is written in order is sound", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "sales.db")
		s := open(t, path)
		random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same test every time
		for range 60 {
			write(t, s, func(tx *Tx) error {
				for range 5 {
					n := random.Uint32N(12)
					if random.IntN(5) == 0 {
						if err := tx.DeleteAccount(person(n)); err != nil {
							return err
						}
						continue
					}
					a := Account{
						Person: person(n), Number: n + 100*random.Uint32N(2), State: State(1 + random.IntN(5)), //nolint:gosec // small
						Fields: map[string]Field{"loginName": {Value: names[random.IntN(len(names))]}},
					}
					if random.IntN(2) == 0 {
						a.UserID = "7"
					}
					if random.IntN(3) == 0 {
						a.Problem, a.Tries = "waits", random.IntN(2)
					}
					if err := tx.PutAccount(a); err != nil {
						return err
					}
				}
				if err := tx.PutGroup(Group{ID: person(99), Applied: roaring.BitmapOf(1, 2)}); err != nil {
					return err
				}
				waiting := ann()
				return errors.Join(tx.Intend(Intent{Person: person(1)}), tx.Begin([]Intent{{Person: person(1), Account: &waiting}, {Person: person(2)}}))
			})
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Check(path); err != nil {
			t.Error(err)
		}
	})
	t.Run("a file that is not there is not made", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "sales.db")
		if err := Check(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("it was made")
		}
	})
	t.Run("a file in use is in use", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "sales.db")
		open(t, path)
		if err := Check(path); !errors.Is(err, boltfile.ErrLocked) {
			t.Errorf("got %v", err)
		}
	})
	for name, damage := range map[string]func(tx *bbolt.Tx) error{
		"a record that was changed": func(tx *bbolt.Tx) error {
			id := person(1)
			b := append([]byte(nil), tx.Bucket(bucketAccounts).Get(id[:])...)
			b[len(b)/2] ^= 1
			return tx.Bucket(bucketAccounts).Put(id[:], b)
		},
		"a set without a person": func(tx *bbolt.Tx) error {
			b, err := roaring.New().ToBytes()
			if err != nil {
				return err
			}
			return tx.Bucket(bucketSets).Put([]byte{byte(Active)}, boltfile.Seal([]byte{byte(Active)}, b))
		},
		"a login name that leads to another": func(tx *bbolt.Tx) error {
			id := person(2)
			return tx.Bucket(bucketLogins).Put(loginKey("ann@contoso.com"), id[:])
		},
		"a login name that leads nowhere": func(tx *bbolt.Tx) error {
			id := person(77)
			return tx.Bucket(bucketLogins).Put(loginKey("ann@contoso.com"), id[:])
		},
		"a login name of two people": func(tx *bbolt.Tx) error {
			id := person(1)
			return tx.Bucket(bucketLogins).Put(loginKey("ann@contoso.com"), append(id[:], id[:]...))
		},
		"a login name of half a person": func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketLogins).Put(loginKey("ann@contoso.com"), make([]byte, idSize+1))
		},
		"a batch that was changed": func(tx *bbolt.Tx) error { return tx.Bucket(bucketBatch).Put(keyBatch, []byte("xxxxxxx")) },
		"a batch that ends within a person": func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketBatch).Put(keyBatch, boltfile.Seal(keyBatch, []byte{recordVersion, 1, 2}))
		},
		"a group that cannot be read": func(tx *bbolt.Tx) error {
			id := person(9)
			return tx.Bucket(bucketGroups).Put(id[:], []byte("x"))
		},
		"an intent of nobody":        func(tx *bbolt.Tx) error { return tx.Bucket(bucketIntents).Put([]byte("x"), []byte{1}) },
		"a bucket that is gone":      func(tx *bbolt.Tx) error { return tx.DeleteBucket(bucketGroups) },
		"a meta record that is gone": func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyMeta) },
		"two people of one number": func(tx *bbolt.Tx) error {
			id := person(3)
			return tx.Bucket(bucketAccounts).Put(id[:], encodeAccount(Account{Person: id, Number: 1, State: Active}))
		},
	} {
		t.Run(name+" is damage", func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "sales.db")
			s := open(t, path)
			put(t, s,
				Account{Person: person(1), Number: 1, State: Active, UserID: "1", Fields: map[string]Field{"loginName": {Value: "ann@contoso.com"}}},
				Account{Person: person(2), Number: 2, State: Active, UserID: "2", Fields: map[string]Field{"loginName": {Value: "bob@contoso.com"}}},
			)
			if err := errors.Join(s.db.Update(damage), s.Close()); err != nil {
				t.Fatal(err)
			}
			if err := Check(path); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v", err)
			}
		})
	}
}
