package snapshot

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"pgregory.net/rapid"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

func person(n uint32) identity.ObjectID {
	id, err := identity.ParseObjectID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
	if err != nil {
		panic(err)
	}
	return id
}

func anyTime(t *rapid.T, label string) time.Time {
	s := rapid.Int64Range(0, 4_000_000_000).Draw(t, label)
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

func anyAccount(t *rapid.T, id identity.ObjectID, number uint32) Account {
	fields := map[string]Field{}
	for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{
		"loginName", "fullName", "email", "attributes.info1", "attributes.info2", "attributes.ünï", "attributes.",
	}), rapid.ID[string]).Draw(t, "names") {
		fields[name] = Field{Value: rapid.String().Draw(t, "value"), Written: rapid.Bool().Draw(t, "written")}
	}
	return Account{
		Person: id, Number: number, Fields: fields,
		State:  State(rapid.IntRange(int(Waiting), int(Tombstone)).Draw(t, "state")),
		UserID: rapid.String().Draw(t, "user"), Adopted: rapid.Bool().Draw(t, "adopted"), OwnDisable: rapid.Bool().Draw(t, "own"),
		License: identity.License(rapid.SampledFrom([]string{"", "named", "readOnly", "none"}).Draw(t, "license")),
		Since:   anyTime(t, "since"), Problem: rapid.String().Draw(t, "problem"),
		Tries: rapid.IntRange(0, 1000).Draw(t, "tries"), Retry: anyTime(t, "retry"), Rejected: rapid.Uint64().Draw(t, "rejected"),
	}
}

func TestAccountRecord(t *testing.T) {
	t.Parallel()

	t.Run("an account is read as it was written", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			a := anyAccount(t, person(7), rapid.Uint32().Draw(t, "number"))
			got, err := decodeAccount(a.Person, encodeAccount(a))
			if err != nil || !reflect.DeepEqual(got, a) {
				t.Fatalf("got %+v, %v\nwant %+v", got, err, a)
			}
		})
	})

	t.Run("equal accounts have equal bytes", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			a := anyAccount(t, person(7), 1)
			if !slices.Equal(encodeAccount(a), encodeAccount(a.Clone())) {
				t.Fatal("bytes differ")
			}
		})
	})

	t.Run("any flipped bit and any missing end is damage, never another account", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			b := encodeAccount(anyAccount(t, person(7), 1))
			bad := slices.Clone(b)
			if rapid.Bool().Draw(t, "cut") {
				bad = bad[:rapid.IntRange(0, len(b)-1).Draw(t, "length")]
			} else {
				bit := rapid.IntRange(0, 8*len(b)-1).Draw(t, "bit")
				bad[bit/8] ^= 1 << (bit % 8)
			}
			if got, err := decodeAccount(person(7), bad); !errors.Is(err, ErrDamaged) {
				t.Fatalf("got %+v, %v, want damage", got, err)
			}
		})
	})

	t.Run("a record of another version is damage", func(t *testing.T) {
		t.Parallel()
		body := []byte{recordVersion + 1, byte(Active), 0}
		one := person(1)
		sealed := boltfile.Seal(one[:], body)
		if _, err := decodeAccount(one, sealed); !errors.Is(err, ErrDamaged) {
			t.Errorf("account: %v", err)
		}
		if _, err := decodeGroup(one, sealed); !errors.Is(err, ErrDamaged) {
			t.Errorf("group: %v", err)
		}
	})

	t.Run("a person with five fields takes less than 200 bytes", func(t *testing.T) {
		t.Parallel()
		a := Account{
			Person: person(1), Number: 1_000_000, State: Active, UserID: "1000000", License: identity.LicenseNamed, Since: time.Unix(1_760_000_000, 0),
			Fields: map[string]Field{
				"loginName": {"adele.vance@contoso.com", true}, "fullName": {"Adele Vance", true}, "email": {"adele.vance@contoso.com", true},
				"attributes.info1": {"Retail", true}, "attributes.info2": {"Helsinki", true},
			},
		}
		if n := len(encodeAccount(a)); n > 200 {
			t.Errorf("%d bytes", n)
		}
	})
}

func TestGroupRecord(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := Group{
			ID: person(9), VaultID: rapid.String().Draw(t, "id"), Name: rapid.String().Draw(t, "name"),
			Configured: rapid.Bool().Draw(t, "configured"), Had: rapid.Bool().Draw(t, "had"),
			Kept:    rapid.SliceOf(rapid.String()).Draw(t, "kept"),
			Applied: roaring.BitmapOf(rapid.SliceOf(rapid.Uint32()).Draw(t, "applied")...),
		}
		b, err := encodeGroup(g)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeGroup(g.ID, b)
		if err != nil {
			t.Fatal(err)
		}
		if got.VaultID != g.VaultID || got.Name != g.Name || got.Configured != g.Configured || got.Had != g.Had ||
			!slices.Equal(got.Kept, g.Kept) || !got.Applied.Equals(g.Applied) {
			t.Fatalf("got %+v, want %+v", got, g)
		}
		bad := slices.Clone(b)
		bad[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if _, err := decodeGroup(g.ID, bad); !errors.Is(err, ErrDamaged) {
			t.Fatalf("got %v, want damage", err)
		}
	})
}

// FuzzDecode feeds bodies whose checksum holds: what a faulty writer, not a
// faulty disk, would leave.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(nil))
	account := encodeAccount(Account{Person: person(1), State: Active, UserID: "1", Fields: map[string]Field{"loginName": {"ann@contoso.com", true}, "attributes.a": {}}})
	f.Add(account[:len(account)-4])
	group, err := encodeGroup(Group{ID: person(2), VaultID: "2", Name: "Sales", Kept: []string{"1"}, Applied: roaring.BitmapOf(1, 2, 1<<20)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(group[:len(group)-4])
	f.Add([]byte{recordVersion, 1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	one := person(1)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, b := range [][]byte{body, boltfile.Seal(one[:], body)} {
			a, err := decodeAccount(one, b)
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("account: %v is not ErrDamaged", err)
			}
			if err == nil {
				again, err := decodeAccount(one, encodeAccount(a))
				if err != nil || !reflect.DeepEqual(a, again) {
					t.Errorf("read %+v, wrote and read %+v, %v", a, again, err)
				}
			}
			g, err := decodeGroup(one, b)
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("group: %v is not ErrDamaged", err)
			}
			if err == nil {
				g.Applied.Add(77) // must not panic: the set is sound
				_ = roaring.AndNot(g.Applied, roaring.BitmapOf(1, 2, 3)).GetCardinality()
			}
		}
	})
}
