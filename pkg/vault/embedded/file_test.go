package embedded

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// closedFile is the file of a store with a user, larger than its first pages.
func closedFile(t *testing.T) string {
	t.Helper()
	path := file(t)
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var changes []vault.Change
	for i := range 500 {
		changes = append(changes, createUser("user"+formatID(uint64(i))+"@contoso.com"))
	}
	changes[1].User.Email = "first@contoso.com"
	changes = append(changes, vault.Change{Op: vault.CreateGroup, Group: vault.Group{Name: "Sales"}}, vault.Change{Op: vault.AddMembers, GroupID: "1", Members: []string{"1", "7"}})
	apply(t, s.Vault("sales"), changes...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpen_refuses_what_is_not_a_whole_store(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(whole []byte) []byte
	}{
		{"an empty file", func([]byte) []byte { return nil }},
		{"one byte", func(b []byte) []byte { return b[:1] }},
		{"a file cut within its first page", func(b []byte) []byte { return b[:100] }},
		{"a file cut after its first pages", func(b []byte) []byte { return b[:4*os.Getpagesize()] }},
		{"another kind of file", func(b []byte) []byte { return bytes.Repeat([]byte("text\n"), 20_000) }},
		{"zeros", func(b []byte) []byte { return make([]byte, len(b)) }},
		{"both beginnings lost", func(b []byte) []byte { clear(b[:2*os.Getpagesize()]); return b }},
		{"a lost page of tables", func(b []byte) []byte { clear(b[2*os.Getpagesize():]); return b }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := closedFile(t)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			spoiled := c.spoil(whole)
			if err := os.WriteFile(path, spoiled, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path, Options{})
			if err == nil {
				_ = s.Close()
			}
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got %v, want that %s is damaged", err, path)
			}
			if hint := hintOf(err); !strings.Contains(hint, "backup") {
				t.Errorf("hint %q", hint)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, spoiled) {
				t.Errorf("the damaged file was touched (%v)", err)
			}
		})
	}
}

func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

func TestOpen_a_second_opening_is_refused_while_the_first_lasts(t *testing.T) {
	t.Parallel()
	path := file(t)
	open(t, path, Options{})
	_, err := Open(path, Options{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(hintOf(err), "stop the other") {
		t.Errorf("got %v, hint %q", err, hintOf(err))
	}
}

func TestOpen_a_store_of_a_later_version_is_refused(t *testing.T) {
	t.Parallel()
	path := closedFile(t)
	tamper(t, path, func(tx *bbolt.Tx) error {
		return openTable(tx.Bucket(bucketMeta), "meta").put(keySchema, []byte{schemaVersion + 1})
	})
	if _, err := Open(path, Options{}); !errors.Is(err, ErrNewer) || !strings.Contains(hintOf(err), "later") {
		t.Errorf("got %v, hint %q", err, hintOf(err))
	}
}

func TestOpen_a_store_of_an_earlier_version_is_refused(t *testing.T) {
	t.Parallel()
	path := closedFile(t)
	tamper(t, path, func(tx *bbolt.Tx) error {
		return openTable(tx.Bucket(bucketMeta), "meta").put(keySchema, []byte{schemaVersion - 1})
	})
	if _, err := Open(path, Options{}); !errors.Is(err, ErrOlder) || !strings.Contains(hintOf(err), "that wrote") {
		t.Errorf("got %v, hint %q", err, hintOf(err))
	}
}

func TestOpen_refuses_pools_that_make_no_sense(t *testing.T) {
	t.Parallel()
	for _, pools := range [][]Pool{
		{{"gold", 1}},
		{{identity.NoLicense, 1}},
		{{identity.LicenseNamed, -2}},
		{{identity.LicenseNamed, 1}, {identity.LicenseNamed, 2}},
	} {
		path := file(t)
		if _, err := Open(path, Options{Licenses: pools}); err == nil {
			t.Errorf("%v: no error", pools)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: a file was made", pools)
		}
	}
}

func TestOpen_in_a_folder_that_is_not_there(t *testing.T) {
	t.Parallel()
	if _, err := Open(filepath.Join(t.TempDir(), "none", "users.db"), Options{}); !errors.Is(err, vault.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestServer_after_closing_everything_is_out_of_reach(t *testing.T) {
	t.Parallel()
	s, err := Open(file(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := s.Vault("sales")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := store.Apply(t.Context(), []vault.Change{createUser("ann@contoso.com")}); !errors.Is(r[0].Err, vault.ErrUnreachable) {
		t.Errorf("apply: %v", r[0].Err)
	}
	if _, err := store.Find(t.Context(), []vault.Query{{ID: "1"}}); !errors.Is(err, vault.ErrUnreachable) {
		t.Errorf("find: %v", err)
	}
	for _, err := range store.Users(t.Context()) {
		if !errors.Is(err, vault.ErrUnreachable) {
			t.Errorf("users: %v", err)
		}
	}
	if _, err := store.Identity(t.Context()); !errors.Is(err, vault.ErrUnreachable) {
		t.Errorf("identity: %v", err)
	}
}

func TestServer_a_backup_is_the_same_store(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	apply(t, s.Vault("sales"), createUser("ann@contoso.com"))
	var copied bytes.Buffer
	if err := s.Backup(t.Context(), &copied); err != nil {
		t.Fatal(err)
	}
	path := file(t)
	if err := os.WriteFile(path, copied.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	restored := open(t, path, Options{})
	want, err := s.Vault("sales").Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := restored.Vault("sales").Identity(t.Context()); err != nil || got != want {
		t.Errorf("identity %q, want %q, %v", got, want, err)
	}
	if found, err := restored.Vault("sales").Find(t.Context(), []vault.Query{{LoginName: "ann@contoso.com"}}); err != nil || len(found[0]) != 1 {
		t.Errorf("got %v, %v", found, err)
	}
}

// tamper writes to a closed file behind the store's back.
func tamper(t *testing.T, path string, fn func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestStore_a_damaged_record_is_an_error_and_never_absence(t *testing.T) {
	t.Parallel()
	path := closedFile(t)
	tamper(t, path, func(tx *bbolt.Tx) error {
		accounts := tx.Bucket(bucketAccounts)
		record := bytes.Clone(accounts.Get(key(7)))
		record[len(record)-1] ^= 1
		return accounts.Put(key(7), record)
	})
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	store := s.Vault("sales")

	if err := s.Verify(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("verify: %v", err)
	}
	for _, q := range []vault.Query{{ID: "7"}, {LoginName: "user6@contoso.com"}, {Email: "user6@contoso.com"}} {
		if found, err := store.Find(t.Context(), []vault.Query{q}); !errors.Is(err, ErrDamaged) {
			t.Errorf("find %+v: %v, %v", q, found, err)
		}
	}
	var last error
	for _, err := range store.Users(t.Context()) {
		last = err
	}
	if !errors.Is(last, ErrDamaged) {
		t.Errorf("users: %v", last)
	}
	results := store.Apply(t.Context(), []vault.Change{
		{Op: vault.UpdateUser, UserID: "7", Patch: vault.Patch{Enabled: new(false)}},
		createUser("USER6@contoso.com"),
		createUser("new@contoso.com"),
	})
	if !errors.Is(results[0].Err, ErrDamaged) || !errors.Is(results[1].Err, ErrDamaged) || results[2].Err != nil {
		t.Errorf("apply: %v", results)
	}
}

func TestVerify_finds_what_does_not_agree(t *testing.T) {
	t.Parallel()
	drop := func(bucket []byte, k string) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Delete([]byte(k)) }
	}
	sales := func(tx *bbolt.Tx) *bbolt.Bucket { return tx.Bucket(bucketVaults).Bucket([]byte("sales")) }
	for name, spoil := range map[string]func(*bbolt.Tx) error{
		"a login name that leads nowhere": drop(bucketAccountLogins, "user1@contoso.com"),
		"a login name too many": func(tx *bbolt.Tx) error {
			return openTable(tx.Bucket(bucketAccountLogins), "").put([]byte("ghost"), key(1))
		},
		"a mail address that is not indexed": drop(bucketAccountEmails, "first@contoso.com\x00"+string(key(2))),
		"a wrong count of licences": func(tx *bbolt.Tx) error {
			return openTable(tx.Bucket(bucketLicenses), "").put([]byte(identity.LicenseNamed), key(9))
		},
		"a user whose login account is missing": func(tx *bbolt.Tx) error { return tx.Bucket(bucketAccounts).Delete(key(3)) },
		"a login account that leads to no user": func(tx *bbolt.Tx) error { return sales(tx).Bucket(bucketUserAccounts).Delete(key(3)) },
		"a mail address that is the login name too, indexed": func(tx *bbolt.Tx) error {
			return openTable(tx.Bucket(bucketAccountEmails), "").put(append(emailKey("user2@contoso.com"), key(3)...), nil)
		},
		"a member that is no user": func(tx *bbolt.Tx) error {
			return openTable(sales(tx).Bucket(bucketMembers), "").put(key(1, 0), []byte{0, 1, 0x0f, 0xff})
		},
		"members of no group": func(tx *bbolt.Tx) error {
			return openTable(sales(tx).Bucket(bucketMembers), "").put(key(9, 0), []byte{0, 1})
		},
		"a block of no members": func(tx *bbolt.Tx) error {
			return openTable(sales(tx).Bucket(bucketMembers), "").put(key(1, 7), nil)
		},
		"a block above all ids": func(tx *bbolt.Tx) error {
			return openTable(sales(tx).Bucket(bucketMembers), "").put(key(1, 1<<63), []byte{0, 1})
		},
		"members under half a key": func(tx *bbolt.Tx) error {
			return openTable(sales(tx).Bucket(bucketMembers), "").put(key(1), []byte{0, 1})
		},
		"an id that can be given out again": func(tx *bbolt.Tx) error { return sales(tx).Bucket(bucketUsers).SetSequence(3) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := closedFile(t)
			tamper(t, path, spoil)
			s, err := Open(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(t.Context()); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
