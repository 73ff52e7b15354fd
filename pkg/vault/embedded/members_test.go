package embedded

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

func TestBlock(t *testing.T) {
	t.Parallel()

	t.Run("a block is read as it was written, however many are in it", func(t *testing.T) {
		t.Parallel()
		for _, n := range []int{1, 2, maxListed - 1, maxListed, maxListed + 1, blockUsers / 2, blockUsers} {
			var b block
			for i := range n {
				b.add(uint64(i*2654435761) % blockUsers)
			}
			value := b.encode()
			got, ok := decodeBlock(value)
			if !ok || got != b || b.size() != n || len(value) > blockUsers/8 || n <= maxListed && len(value) != 2*n {
				t.Errorf("%d users, %d of them in the block, in %d bytes: %v", n, b.size(), len(value), ok)
			}
		}
	})

	t.Run("users come and go as from a set", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			const first = 3 * blockUsers
			var b block
			want := map[uint64]bool{}
			for _, i := range rapid.SliceOfN(rapid.IntRange(-blockUsers+1, blockUsers-1), 1, 600).Draw(t, "steps") {
				if i < 0 {
					b.remove(first + uint64(-i))
					delete(want, first+uint64(-i))
				} else {
					b.add(first + uint64(i))
					want[first+uint64(i)] = true
				}
			}
			if got := b.ids(nil, first); !slices.Equal(got, slices.Sorted(maps.Keys(want))) || b.size() != len(want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			if again, ok := decodeBlock(b.encode()); ok == (len(want) == 0) || again != b {
				t.Fatalf("read again: %v", ok)
			}
		})
	})

	t.Run("nothing else is read as a block", func(t *testing.T) {
		t.Parallel()
		var few block
		few.add(1)
		for name, value := range map[string][]byte{
			"nothing": {}, "an odd byte": {0, 1, 0}, "twice the same": {0, 1, 0, 1}, "no order": {0, 2, 0, 1}, "a user of the next block": {0x10, 0},
			"a list that is too long": bytes.Repeat([]byte{0, 1}, maxListed+2), "few as bits": append([]byte{0x80}, make([]byte, blockUsers/8-1)...),
		} {
			if b, ok := decodeBlock(value); ok {
				t.Errorf("%s: %v", name, b.ids(nil, 0))
			}
		}
	})
}

func FuzzBlock(f *testing.F) {
	f.Add([]byte{0, 1, 0x0f, 0xff})
	f.Add(bytes.Repeat([]byte{0xff}, blockUsers/8))
	f.Fuzz(func(t *testing.T, value []byte) {
		if b, ok := decodeBlock(value); ok && !bytes.Equal(b.encode(), value) {
			t.Errorf("%x is read, and written as %x", value, b.encode())
		}
	})
}

func TestStore_members_of_several_blocks(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), Options{})
	store := s.Vault("sales")
	const people = blockUsers + 10
	changes := make([]vault.Change, 0, people+1)
	for i := range people {
		changes = append(changes, createUser(fmt.Sprintf("p%d@contoso.com", i)))
	}
	changes = append(changes, vault.Change{Op: vault.CreateGroup, Group: vault.Group{Name: "Sales"}})
	ids := make([]string, people)
	for i, r := range apply(t, store, changes...)[:people] {
		ids[i] = r.ID
	}
	members := func(step string, want []string) {
		t.Helper()
		for g, err := range store.Groups(t.Context()) {
			if err != nil || !slices.Equal(g.Members, want) {
				t.Errorf("%s: %d members, want %d, %v", step, len(g.Members), len(want), err)
			}
		}
		verify(t, s)
	}
	join := func(ids ...string) vault.Change {
		return vault.Change{Op: vault.AddMembers, GroupID: "1", Members: ids}
	}
	leave := func(ids ...string) vault.Change {
		return vault.Change{Op: vault.RemoveMembers, GroupID: "1", Members: ids}
	}
	members("nobody", nil)
	backwards := slices.Clone(ids)
	slices.Reverse(backwards)
	apply(t, store, join(backwards...), join(ids[3], ids[3]))
	members("everybody", ids)
	apply(t, store, leave(ids[:people-5]...), leave(ids[0], "999999"))
	members("the last five", ids[people-5:])
	if err := store.DeleteUser(t.Context(), fmt.Sprintf("p%d@contoso.com", people-3)); err != nil {
		t.Fatal(err)
	}
	members("one of them deleted", slices.Delete(slices.Clone(ids[people-5:]), 2, 3))
	apply(t, store, leave(ids...))
	members("nobody again", nil)
}
