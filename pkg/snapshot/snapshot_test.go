package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

const tenant = "8a4b0d3e-0000-4000-8000-000000000001"

func open(t testing.TB, path string) *Snapshot {
	t.Helper()
	s, err := Open(path, "sales", tenant)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func write(t testing.TB, s *Snapshot, fn func(*Tx) error) {
	t.Helper()
	if err := s.Write(fn); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, s *Snapshot, accounts ...Account) {
	t.Helper()
	write(t, s, func(tx *Tx) error {
		for _, a := range accounts {
			if err := tx.PutAccount(a); err != nil {
				return err
			}
		}
		return nil
	})
}

func ann() Account {
	return Account{Person: person(1), Number: 1, State: Active, UserID: "17", Fields: map[string]Field{"loginName": {Value: "Ann@contoso.com", Written: true}}}
}

func TestOpen(t *testing.T) {
	t.Parallel()

	t.Run("a new snapshot is empty, of its vault and tenant, and not imported", func(t *testing.T) {
		t.Parallel()
		meta, err := open(t, filepath.Join(t.TempDir(), "sales.db")).Meta()
		if err != nil || meta.Vault != "sales" || meta.Tenant != tenant || meta.Imported || meta.Store != "" {
			t.Errorf("%+v, %v", meta, err)
		}
	})

	t.Run("a tenant id put right before anything was applied is taken over", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "sales.db")
		for _, id := range []string{"mistyped", tenant} {
			s, err := Open(path, "sales", id)
			if err != nil {
				t.Fatal(err)
			}
			meta, err := s.Meta()
			if err := errors.Join(err, s.Close()); err != nil || meta.Tenant != id {
				t.Fatalf("tenant %q, %v; want %q", meta.Tenant, err, id)
			}
		}
	})

	refused := []struct {
		name, vault, tenant string
		schema              int
		want                error
	}{
		{"the state of another tenant is refused, never mixed", "sales", "another", schema, ErrOtherTenant},
		{"the state of another vault is refused", "hr", tenant, schema, ErrOtherStore},
		{"the state of a newer program is refused", "sales", tenant, schema + 1, ErrNewer},
		{"the state of an older program is refused", "sales", tenant, schema - 1, ErrOlder},
	}
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "sales.db")
			s, err := Open(path, "sales", tenant)
			if err != nil {
				t.Fatal(err)
			}
			meta, err := s.Meta()
			if err != nil {
				t.Fatal(err)
			}
			meta.Schema, meta.Imported = c.schema, true
			if err := errors.Join(s.Write(func(tx *Tx) error { return tx.PutMeta(meta) }), s.Close()); err != nil {
				t.Fatal(err)
			}
			_, err = Open(path, c.vault, c.tenant)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got %v, want %v with the path", err, c.want)
			}
			// The refused file is let go.
			if c.schema == schema {
				open(t, path)
			}
		})
	}

	t.Run("a bbolt file of something else is damaged", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "sales.db")
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, "sales", tenant); !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v, want damage", err)
		}
	})

	t.Run("an empty file is damaged: it never looks as if everyone were new", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "sales.db")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, "sales", tenant); !errors.Is(err, boltfile.ErrDamaged) {
			t.Errorf("got %v, want damage", err)
		}
	})
}

// TestDamagedBytes overwrites every page of a file in turn: each read answers
// with the truth or with damage, never with something else.
func TestDamagedBytes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sales.db")
	s, err := Open(path, "sales", tenant)
	if err != nil {
		t.Fatal(err)
	}
	want := map[identity.ObjectID]string{}
	write(t, s, func(tx *Tx) error {
		for n := range uint32(300) {
			a := Account{Person: person(n), Number: n, State: Active, UserID: fmt.Sprint(n), Fields: map[string]Field{"loginName": {Value: fmt.Sprintf("p%d@contoso.com", n)}}}
			want[a.Person] = a.UserID
			if err := tx.PutAccount(a); err != nil {
				return err
			}
		}
		return tx.PutGroup(Group{ID: person(999), VaultID: "1", Name: "Sales", Applied: roaring.BitmapOf(1, 2, 3)})
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	page := os.Getpagesize()
	for at := 2 * page; at+page <= len(whole); at += page {
		for _, pattern := range []byte{0x00, 0x5a, 0xff} {
			bad := bytes.Clone(whole)
			copy(bad[at:at+page], bytes.Repeat([]byte{pattern}, page))
			other := filepath.Join(t.TempDir(), "sales.db")
			if err := os.WriteFile(other, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if !readsTruth(t, other, want) {
				damaged++
			}
		}
	}
	if damaged == 0 {
		t.Error("no damage was noticed")
	}
	// A single byte of a record, which bbolt itself does not check.
	at := bytes.Index(whole, []byte("p150@contoso.com"))
	bad := bytes.Clone(whole)
	bad[at] = 'q'
	other := filepath.Join(t.TempDir(), "sales.db")
	if err := os.WriteFile(other, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = readsTruth(t, other, want)
}

// readsTruth reads everything; false means that damage was reported.
func readsTruth(t *testing.T, path string, want map[identity.ObjectID]string) bool {
	t.Helper()
	s, err := Open(path, "sales", tenant)
	if err != nil {
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, boltfile.ErrDamaged) {
			t.Errorf("open: %v is not damage", err)
		}
		return false
	}
	defer s.Close() //nolint:errcheck // only read
	n := 0
	err = s.Read(func(tx *Tx) error {
		for a, err := range tx.Accounts() {
			if err != nil {
				return err
			}
			n++
			if want[a.Person] != a.UserID {
				t.Errorf("read an account that nobody wrote: %+v", a)
			}
		}
		if _, err := tx.People(Active, Again); err != nil {
			return err
		}
		_, err := tx.Groups()
		return err
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		t.Errorf("read: %v is not damage", err)
	}
	if err == nil && n != len(want) {
		t.Errorf("%d accounts of %d and no error", n, len(want))
	}
	return err == nil
}

func TestBackup(t *testing.T) {
	t.Parallel()

	t.Run("a backup is the whole snapshot and opens by itself", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := open(t, filepath.Join(dir, "sales.db"))
		put(t, s, ann())
		copied := filepath.Join(dir, "copy.db")
		if err := s.Backup(copied); err != nil {
			t.Fatal(err)
		}
		put(t, s, Account{Person: person(2), Number: 2, State: Waiting})
		if _, n, err := open(t, copied).Size(); err != nil || n != 1 {
			t.Errorf("%d accounts, %v, want the one there was", n, err)
		}
	})

	t.Run("a backup replaces no file, the snapshot itself least of all", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "sales.db")
		s := open(t, path)
		put(t, s, ann())
		if err := s.Backup(path); !errors.Is(err, os.ErrExist) {
			t.Fatalf("got %v, want refusal", err)
		}
		if _, n, err := s.Size(); err != nil || n != 1 {
			t.Errorf("%d accounts, %v", n, err)
		}
	})
}

func TestShown(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "sales.db"))
	for n := range 20 {
		write(t, s, func(tx *Tx) error { return tx.PutShown(fmt.Sprintf("digest%d", n), []string{fmt.Sprint("key", n)}) })
	}
	write(t, s, func(tx *Tx) error { return tx.PutShown("", []string{"nothing held"}) })
	write(t, s, func(tx *Tx) error { return tx.PutShown("digest5", []string{"key5", "again"}) })
	ask := func(digest string) (keys []string, ok bool) {
		if err := s.Read(func(tx *Tx) (err error) {
			keys, ok, err = tx.Shown(digest)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return keys, ok
	}
	if keys, ok := ask("digest19"); !ok || !slices.Equal(keys, []string{"key19"}) {
		t.Errorf("what was shown last: %v, %v", keys, ok)
	}
	if keys, ok := ask("digest5"); !ok || !slices.Equal(keys, []string{"key5", "again"}) {
		t.Errorf("what was shown again: %v, %v", keys, ok)
	}
	if _, ok := ask("digest3"); ok {
		t.Error("what was shown long ago is still there")
	}
	if _, ok := ask(""); ok {
		t.Error("nothing was shown under the empty digest")
	}
}

func TestTransaction(t *testing.T) {
	t.Parallel()

	t.Run("a write that fails leaves accounts, sets, index, intents and groups as they were", func(t *testing.T) {
		t.Parallel()
		s := open(t, filepath.Join(t.TempDir(), "sales.db"))
		put(t, s, ann())
		full := errors.New("disk full")
		err := s.Write(func(tx *Tx) error {
			moved := ann()
			moved.State, moved.Problem = Left, "x"
			moved.Fields["loginName"] = Field{Value: "other@contoso.com"}
			if err := errors.Join(
				tx.PutAccount(moved), tx.Intend(Intent{Person: person(1)}), tx.Begin([]Intent{{Person: person(2)}}), tx.PutShown("d", nil),
				tx.PutGroup(Group{ID: person(5), Applied: roaring.BitmapOf(1)}), tx.PutOutOfScope(roaring.BitmapOf(1)),
			); err != nil {
				return err
			}
			return full
		})
		if !errors.Is(err, full) {
			t.Fatalf("got %v", err)
		}
		if err := s.Read(func(tx *Tx) error {
			active, _ := tx.People(Active)
			others, _ := tx.People(Left, Again, Waiting)
			_, taken, _ := tx.LoginOwner("other@contoso.com")
			owner, _, _ := tx.LoginOwner("ANN@contoso.com")
			groups, _ := tx.Groups()
			out, _ := tx.OutOfScope()
			if !active.Contains(1) || !others.IsEmpty() || taken || owner != person(1) || len(groups) > 0 || len(tx.Intents()) > 0 || !out.IsEmpty() {
				t.Errorf("active %v others %v taken %v owner %v groups %v intents %v out %v", active, others, taken, owner, groups, tx.Intents(), out)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("a panic in a write is an error and leaves everything as it was", func(t *testing.T) {
		t.Parallel()
		s := open(t, filepath.Join(t.TempDir(), "sales.db"))
		put(t, s, ann())
		err := s.Write(func(tx *Tx) error {
			if err := tx.DeleteAccount(person(1)); err != nil {
				return err
			}
			panic("page 7: invalid page type")
		})
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v", err)
		}
		if _, n, err := s.Size(); err != nil || n != 1 {
			t.Errorf("%d accounts, %v", n, err)
		}
		put(t, s, Account{Person: person(2), Number: 2, State: Waiting}) // and it goes on working
	})

	t.Run("a set that was handed out is the caller's own", func(t *testing.T) {
		t.Parallel()
		s := open(t, filepath.Join(t.TempDir(), "sales.db"))
		put(t, s, ann())
		write(t, s, func(tx *Tx) error {
			set, err := tx.People(Active)
			set.Clear()
			if err != nil {
				return err
			}
			return tx.PutAccount(Account{Person: person(2), Number: 2, State: Active})
		})
		if err := s.Read(func(tx *Tx) error {
			set, err := tx.People(Active)
			if !set.Equals(roaring.BitmapOf(1, 2)) {
				t.Errorf("active: %v", set)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("intents stay until they are settled, one by one", func(t *testing.T) {
		t.Parallel()
		s := open(t, filepath.Join(t.TempDir(), "sales.db"))
		write(t, s, func(tx *Tx) error {
			return errors.Join(tx.Intend(Intent{Person: person(1)}), tx.Intend(Intent{Person: person(2)}), tx.Intend(Intent{Person: person(3)}))
		})
		write(t, s, func(tx *Tx) error { return tx.Settle([]identity.ObjectID{person(2), person(9)}) })
		if err := s.Read(func(tx *Tx) error {
			if got := tx.Intents(); !slices.Equal(got, []identity.ObjectID{person(1), person(3)}) {
				t.Errorf("intents: %v", got)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestModel compares a snapshot with a map through random writes, failures and
// reopenings.
func TestModel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		path := filepath.Join(dir, fmt.Sprintf("%d.db", round))
		s, err := Open(path, "sales", tenant)
		if err != nil {
			rt.Fatal(err)
		}
		s.db.NoSync = true
		defer func() { _ = s.Close() }()
		model := map[identity.ObjectID]Account{}
		shared := map[string]bool{} // logins that two records had at some time
		for range rapid.IntRange(1, 12).Draw(rt, "transactions") {
			next := map[identity.ObjectID]Account{}
			maps.Copy(next, model)
			fails := rapid.IntRange(0, 3).Draw(rt, "fails") == 0
			err := s.Write(func(tx *Tx) error {
				for range rapid.IntRange(1, 6).Draw(rt, "steps") {
					n := rapid.Uint32Range(0, 7).Draw(rt, "person")
					switch rapid.IntRange(0, 9).Draw(rt, "step") {
					case 0:
						delete(next, person(n))
						if err := tx.DeleteAccount(person(n)); err != nil {
							return err
						}
					case 1:
						clear(next)
						if err := tx.ClearPeople(); err != nil {
							return err
						}
					default:
						a := anyAccount(rt, person(n), n)
						a.Fields["loginName"] = Field{Value: rapid.SampledFrom([]string{"", "a@contoso.com", "A@Contoso.com", "b@contoso.com", "ß@contoso.com", "SS@contoso.com"}).Draw(rt, "login")}
						for _, other := range next {
							if other.Person != a.Person && identity.Fold(other.Login()) == identity.Fold(a.Login()) {
								shared[identity.Fold(a.Login())] = true
							}
						}
						next[a.Person] = a
						if err := tx.PutAccount(a); err != nil {
							return err
						}
					}
				}
				if fails {
					return errors.New("crash")
				}
				return nil
			})
			if (err != nil) != fails {
				rt.Fatal(err)
			}
			if !fails {
				model = next
			}
			if rapid.IntRange(0, 4).Draw(rt, "reopen") == 0 {
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				if s, err = Open(path, "sales", tenant); err != nil {
					rt.Fatal(err)
				}
				s.db.NoSync = true
			}
			compare(rt, s, model, shared)
		}
	})
}

func compare(t *rapid.T, s *Snapshot, model map[identity.ObjectID]Account, shared map[string]bool) {
	sets := map[State]*roaring.Bitmap{}
	logins := map[string][]identity.ObjectID{}
	for _, state := range []State{Waiting, Active, Leaving, Left, Tombstone, Again} {
		sets[state] = roaring.New()
	}
	for _, a := range model {
		sets[a.State].Add(a.Number)
		if a.Problem != "" || a.Tries > 0 {
			sets[Again].Add(a.Number)
		}
		if login := identity.Fold(a.Login()); a.UserID != "" && a.State != Tombstone && login != "" {
			logins[login] = append(logins[login], a.Person)
		}
	}
	if err := s.Read(func(tx *Tx) error {
		n := 0
		for a, err := range tx.Accounts() {
			if err != nil {
				return err
			}
			n++
			if !bytes.Equal(encodeAccount(a), encodeAccount(model[a.Person])) {
				t.Fatalf("account %v: %+v, want %+v", a.Person, a, model[a.Person])
			}
		}
		if n != len(model) {
			t.Fatalf("%d accounts, want %d", n, len(model))
		}
		for state, want := range sets {
			got, err := tx.People(state)
			if err != nil {
				return err
			}
			if !got.Equals(want) {
				t.Fatalf("set %v: %v, want %v", state, got, want)
			}
		}
		if err := tx.checkLogins(); err != nil {
			t.Fatal(err)
		}
		for login, owners := range logins {
			// While two records name one login, the last written has it; one
			// that was always alone is always found.
			if owner, ok, err := tx.LoginOwner(login); err != nil || !shared[login] && (!ok || owner != owners[0]) {
				t.Fatalf("%q is that of %v, the index says %v, %v", login, owners, owner, ok)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
