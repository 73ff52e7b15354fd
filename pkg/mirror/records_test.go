package mirror

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

func TestProfileKeepsWhatWasSelected(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 5000)
	cases := []struct {
		name     string
		in, want map[string]string
	}{
		{"nothing", nil, map[string]string{}},
		{"an attribute without a value is absent", map[string]string{"mail": ""}, map[string]string{}},
		{"one that is not selected is left out", map[string]string{"city": "Ulm", "mail": "a@contoso.com"}, map[string]string{"mail": "a@contoso.com"}},
		{"login name and mail alike", map[string]string{"mail": "a@contoso.com", "userPrincipalName": "a@contoso.com"}, map[string]string{"mail": "a@contoso.com", "userPrincipalName": "a@contoso.com"}},
		{"true, false and texts like them", map[string]string{"accountEnabled": "true", "displayName": "false", "mail": "true", "userPrincipalName": "True"}, map[string]string{"accountEnabled": "true", "displayName": "false", "mail": "true", "userPrincipalName": "True"}},
		{"a long value", map[string]string{"displayName": long}, map[string]string{"displayName": long}},
	}
	sel := []string{"accountEnabled", "displayName", "mail", "userPrincipalName"}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeProfile(sel, encodeProfile(sel, c.in))
			if err != nil || !maps.Equal(got, c.want) {
				t.Fatalf("%v %v", got, err)
			}
		})
	}
}

func FuzzProfile(f *testing.F) {
	f.Add("a", "b", "a", "true")
	f.Add("", "false", "", strings.Repeat("x", 300))
	sel := []string{"a", "b", "c", "d"}
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		in := map[string]string{"a": a, "b": b, "c": c, "d": d}
		maps.DeleteFunc(in, func(_, v string) bool { return v == "" })
		got, err := decodeProfile(sel, encodeProfile(sel, in))
		if err != nil || !maps.Equal(got, in) {
			t.Fatalf("%q: %q %v", in, got, err)
		}
	})
}

// FuzzDecode feeds arbitrary bytes to every decoder: they may refuse, never
// panic, and what they accept must survive another round.
func FuzzDecode(f *testing.F) {
	x := &group{Group: Group{Name: "n", Members: roaring.BitmapOf(1, 2, 70000), Children: []identity.ObjectID{g(1)}}, others: roaring.New()}
	raw, err := x.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(head{commit: 1, pulledAt: time.UnixMilli(5)}.encode())
	f.Add(stream{link: "l", groups: []identity.ObjectID{g(1)}}.encode())
	f.Add(encodeProfile([]string{"a"}, map[string]string{"a": "b"}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		id := g(1)
		if x, err := decodeGroup(id[:], raw); err == nil {
			again, err := x.encode()
			if err != nil {
				t.Fatal(err)
			}
			y, err := decodeGroup(id[:], again)
			if err != nil || !x.equal(y) {
				t.Fatalf("%+v, then %+v: %v", x, y, err)
			}
		}
		if h, err := decodeHead(raw); err == nil {
			if again, err := decodeHead(h.encode()); err != nil || again != h {
				t.Fatalf("%+v, then %+v: %v", h, again, err)
			}
		}
		if s, err := decodeStream(nil, raw); err == nil {
			if again, err := decodeStream(nil, s.encode()); err != nil || again.link != s.link || !slices.Equal(again.groups, s.groups) {
				t.Fatalf("%+v, then %+v: %v", s, again, err)
			}
		}
		_, _ = decodeFeed(nil, raw)
		_, _ = decodeSelect(raw)
		_, _ = decodeProfile([]string{"a", "b"}, raw)
		_, _ = decodePerson(nil, raw)
	})
}

func TestNewcomers(t *testing.T) {
	t.Parallel()
	table := newNewcomers(100)
	if _, known := table.find(u(1)); known {
		t.Fatal("known before it was met")
	}
	const many = 3*chunk + 17
	for n := range many {
		if got := table.add(u(n * 3)); got != uint32(100+n) {
			t.Fatalf("number %d, want %d", got, 100+n)
		}
	}
	for n := range many {
		if got, known := table.find(u(n * 3)); !known || got != uint32(100+n) {
			t.Fatalf("%d: %d %v", n, got, known)
		}
		if _, known := table.find(u(n*3 + 1)); known {
			t.Fatalf("%d is known", n*3+1)
		}
		if id, fresh := table.id(uint32(100 + n)); !fresh || id != u(n*3) {
			t.Fatalf("number %d is %v", 100+n, id)
		}
	}
	for _, n := range []uint32{0, 99, 100 + many} {
		if _, fresh := table.id(n); fresh {
			t.Fatalf("%d is no newcomer", n)
		}
	}
	order := table.byID()
	if len(order) != many || !slices.IsSortedFunc(order, func(a, b uint32) int {
		x, _ := table.id(a)
		y, _ := table.id(b)
		return x.Compare(y)
	}) {
		t.Fatal("not in the order of ids")
	}
}
