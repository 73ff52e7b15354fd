package schedule

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
)

func openFile(t *testing.T, path string) *File {
	t.Helper()
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestFileKeepsRunTimes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "server.db")
	f := openFile(t, path)
	when := time.Date(2026, 1, 10, 9, 0, 0, 123, time.UTC)
	want := map[string]Past{
		"sales":   {LastStart: when, LastFull: when.Add(-time.Hour), Imported: when.Add(-24 * time.Hour), Failures: 3, Paused: true},
		"support": {},
	}
	if err := f.Save(want); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(map[string]Past{"support": {Paused: true}}); err != nil {
		t.Fatal(err)
	}
	want["support"] = Past{Paused: true}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := openFile(t, path).Load()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Load = %+v, want %+v", got, want)
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	put := func(bucket, key, value []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			f := openFile(t, path)
			err := f.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, value) })
			if err = errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	sound, err := encodePast("sales", Past{Paused: true})
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(sound)
	flipped[len(flipped)-3] ^= 1
	for name, c := range map[string]struct {
		damage func(t *testing.T, path string)
		want   error
	}{
		"one bit flipped is damage":               {put(timesBucket, []byte("sales"), flipped), boltfile.ErrDamaged},
		"a record of another vault is damage":     {put(timesBucket, []byte("legal"), sound), boltfile.ErrDamaged},
		"a record without its checksum":           {put(timesBucket, []byte("sales"), []byte("{}")), boltfile.ErrDamaged},
		"an empty record":                         {put(timesBucket, []byte("sales"), nil), boltfile.ErrDamaged},
		"another version is refused, not guessed": {put(metaBucket, versionKey, []byte{99}), nil},
		"a file of something else": {func(t *testing.T, path string) {
			t.Helper()
			f := openFile(t, path)
			err := f.db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket(timesBucket) })
			if err = errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}, boltfile.ErrDamaged},
		"an empty file is not a new one": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, boltfile.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "server.db")
			c.damage(t, path)
			f, err := OpenFile(path)
			if err == nil {
				_, err = f.Load()
				t.Cleanup(func() { _ = f.Close() })
			}
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error is %v, want %v", err, c.want)
			}
		})
	}
}

func FuzzDecodePast(f *testing.F) {
	good, err := encodePast("sales", Past{Failures: 1, Paused: true, LastStart: time.Unix(1, 0)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, record []byte) {
		past, err := decodePast([]byte("sales"), record)
		if err != nil {
			return
		}
		again, err := encodePast("sales", past)
		if err != nil {
			t.Skip("a year that JSON cannot write")
		}
		back, err := decodePast([]byte("sales"), again)
		if err != nil {
			t.Fatalf("%+v cannot be read back: %v", past, err)
		}
		if twice, err := encodePast("sales", back); err != nil || !bytes.Equal(again, twice) {
			t.Errorf("%q became %q, %v", again, twice, err)
		}
	})
}
