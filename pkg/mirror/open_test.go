package mirror

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// filled is a closed mirror with something in it.
func filled(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, Options{Profiles: "stream"})
	b.dir.add(1, u(1), u(2), u(3), g(2), d(1))
	b.dir.add(2, u(4))
	b.refresh(nested(1))
	if err := b.m.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenRefusesWhatItMustNotUse(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, path string, f func([]byte) []byte) {
		t.Helper()
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f(raw), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct {
		name  string
		wreck func(t *testing.T, b *bench)
		want  error
	}{
		{"an empty file is damaged, never new", func(t *testing.T, b *bench) {
			write(t, b.path, func([]byte) []byte { return nil })
		}, ErrDamaged},
		{"a file of one byte is damaged", func(t *testing.T, b *bench) {
			write(t, b.path, func(raw []byte) []byte { return raw[:1] })
		}, ErrDamaged},
		{"a file cut in the middle is damaged", func(t *testing.T, b *bench) {
			write(t, b.path, func(raw []byte) []byte { return raw[:3*4096+100] })
		}, ErrDamaged},
		{"a file cut after its header is damaged", func(t *testing.T, b *bench) {
			write(t, b.path, func(raw []byte) []byte { return raw[:2*4096] })
		}, ErrDamaged},
		{"a file of something else is damaged", func(t *testing.T, b *bench) {
			write(t, b.path, func([]byte) []byte { return bytes.Repeat([]byte("contoso "), 4096) })
		}, ErrDamaged},
		{"both headers zeroed is damaged", func(t *testing.T, b *bench) {
			write(t, b.path, func(raw []byte) []byte { clear(raw[:8192]); return raw })
		}, ErrDamaged},
		{"pages zeroed is damaged", func(t *testing.T, b *bench) {
			write(t, b.path, func(raw []byte) []byte { clear(raw[8192:]); return raw })
		}, ErrDamaged},
		{"the state of another tenant is refused", func(_ *testing.T, b *bench) {
			b.opt.Tenant = "99999999-2222-3333-4444-555555555555"
		}, ErrOtherTenant},
		{"a newer schema is refused", func(t *testing.T, b *bench) {
			rewrite(t, b.path, func(tx *bolt.Tx) error { return put(tx, bucketMeta, keySchema, []byte{schema + 1}) })
		}, ErrNewer},
		{"a file that is open elsewhere is locked", func(t *testing.T, b *bench) {
			other, err := Open(b.path, b.opt)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = other.Close() })
		}, ErrLocked},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := filled(t)
			saved, err := os.ReadFile(b.path)
			if err != nil {
				t.Fatal(err)
			}
			path, tenant := b.path, b.opt.Tenant
			c.wreck(t, b)
			wrecked, _ := os.ReadFile(b.path)
			for range 2 { // a refusal keeps no lock and changes nothing
				m, err := Open(path, b.opt)
				if err == nil {
					_ = m.Close()
					t.Fatal("opened")
				}
				if !errors.Is(err, c.want) {
					t.Fatalf("error %v, want %v", err, c.want)
				}
				var hint interface{ Hint() string }
				if !errors.As(err, &hint) || hint.Hint() == "" || !strings.Contains(err.Error(), path) {
					t.Fatalf("error %v: no hint or no path", err)
				}
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, wrecked) {
				t.Fatal("the refused file was written to")
			}
			if errors.Is(c.want, ErrLocked) {
				return
			}
			if err := os.WriteFile(path, saved, 0o600); err != nil {
				t.Fatal(err)
			}
			b.opt.Tenant = tenant
			b.open()
			b.want(nested(1), "1 2 3 4")
		})
	}
}

func rewrite(t *testing.T, path string, f func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// A flipped bit in any record is found, by Check and by whoever reads it.
func TestEveryRecordIsChecked(t *testing.T) {
	t.Parallel()
	b := filled(t)
	defer b.open()
	type place struct{ bucket, key, value []byte }
	var places []place
	rewrite(t, b.path, func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bolt.Bucket) error {
			return bucket.ForEach(func(k, v []byte) error {
				places = append(places, place{bytes.Clone(name), bytes.Clone(k), bytes.Clone(v)})
				return nil
			})
		})
	})
	if len(places) < 20 {
		t.Fatalf("%d records", len(places))
	}
	for _, p := range places {
		for _, at := range []int{0, len(p.value) / 2, len(p.value) - 1} {
			bad := bytes.Clone(p.value)
			bad[at] ^= 4
			rewrite(t, b.path, func(tx *bolt.Tx) error { return tx.Bucket(p.bucket).Put(p.key, bad) })
			if err := Check(b.path); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s %x byte %d: %v", p.bucket, p.key, at, err)
			}
		}
		rewrite(t, b.path, func(tx *bolt.Tx) error { return tx.Bucket(p.bucket).Delete(p.key) })
		if err := Check(b.path); err == nil && string(p.bucket) != "streams" {
			t.Fatalf("%s %x: its absence is not found", p.bucket, p.key)
		}
		rewrite(t, b.path, func(tx *bolt.Tx) error { return tx.Bucket(p.bucket).Put(p.key, p.value) })
	}
	if err := Check(b.path); err != nil {
		t.Fatal(err)
	}
}

func TestTheRoundFileOfACrashIsRemoved(t *testing.T) {
	t.Parallel()
	b := filled(t)
	keep := filepath.Join(filepath.Dir(b.path), "fabrikam.mirror.round")
	for _, name := range []string{b.path + ".round", keep} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.open()
	entries, err := os.ReadDir(filepath.Dir(b.path))
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v %v", entries, err)
	}
	if _, err := os.Stat(keep); err != nil {
		t.Fatal("another mirror's file was removed")
	}
}

func TestDiskFullKeepsTheOldState(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Profiles: "stream"})
	b.dir.pageSize = 500
	b.dir.add(1, u(1))
	b.refresh(root(1))
	b.closeViews()
	info, _ := os.Stat(b.path)
	b.opt.maxSize = int(info.Size()) + 64<<10
	b.reopen()
	before := b.dump(root(1))
	for n := range 3000 {
		b.dir.add(1, u(n))
	}
	if _, err := b.try(root(1)); err == nil {
		t.Fatal("written beyond the limit")
	}
	if after := b.dump(root(1)); after != before {
		t.Fatal("a failed write shows")
	}
	b.opt.maxSize = 0
	b.reopen()
	b.refresh(root(1))
	if s, _ := b.m.Stats(); s.People != 3000 {
		t.Fatalf("stats %+v", s)
	}
}

func TestProfilesMustBeKnown(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "m")
	if _, err := Open(path, Options{Profiles: "sometimes"}); err == nil {
		t.Fatal("accepted")
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("a file was made")
	}
}
