package boltfile_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
)

func TestSeal(t *testing.T) {
	t.Parallel()
	key, value := []byte("ann"), []byte("member of sales")

	t.Run("what was sealed is read again, an empty value too", func(t *testing.T) {
		t.Parallel()
		for _, want := range [][]byte{value, {}} {
			if got, ok := boltfile.Unseal(key, boltfile.Seal(key, want)); !ok || !bytes.Equal(got, want) {
				t.Errorf("got %q, %v, want %q", got, ok, want)
			}
		}
	})

	t.Run("any flipped bit is found", func(t *testing.T) {
		t.Parallel()
		sealed := boltfile.Seal(key, value)
		for bit := range 8 * len(sealed) {
			bad := slices.Clone(sealed)
			bad[bit/8] ^= 1 << (bit % 8)
			if got, ok := boltfile.Unseal(key, bad); ok {
				t.Fatalf("bit %d: read %q", bit, got)
			}
		}
	})

	t.Run("a record cut off is found, one of nothing too", func(t *testing.T) {
		t.Parallel()
		sealed := boltfile.Seal(key, value)
		for n := range sealed {
			if got, ok := boltfile.Unseal(key, sealed[:n]); ok {
				t.Fatalf("%d bytes: read %q", n, got)
			}
		}
	})

	t.Run("a record in another's place is found", func(t *testing.T) {
		t.Parallel()
		if got, ok := boltfile.Unseal([]byte("bob"), boltfile.Seal(key, value)); ok {
			t.Errorf("read %q", got)
		}
	})

	t.Run("one value under two keys makes two records", func(t *testing.T) {
		t.Parallel()
		roomy := append(make([]byte, 0, 100), value...)
		first, second := boltfile.Seal(key, roomy), boltfile.Seal([]byte("bob"), roomy)
		if _, ok := boltfile.Unseal(key, first); !ok {
			t.Error("the second was written over the first")
		}
		if _, ok := boltfile.Unseal([]byte("bob"), second); !ok {
			t.Error("the second is not whole")
		}
	})

	t.Run("what is appended to a value read leaves the record alone", func(t *testing.T) {
		t.Parallel()
		sealed := boltfile.Seal(key, value)
		got, _ := boltfile.Unseal(key, sealed)
		_ = append(got, "!!!!"...)
		if _, ok := boltfile.Unseal(key, sealed); !ok {
			t.Error("the record was written over")
		}
	})
}
