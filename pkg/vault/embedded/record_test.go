package embedded

import (
	"reflect"
	"testing"
)

func FuzzRecords(f *testing.F) {
	f.Add(account{login: "ann@contoso.com", managed: true, attributes: map[string]string{"info1": "x"}}.encode())
	f.Add(user{account: 300, enabled: true, external: "e"}.encode())
	f.Add(group{name: "Sales"}.encode())
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		// Whatever reads without an error is the same when written and read again.
		if a, err := decodeAccount(1, b); err == nil {
			if again, err := decodeAccount(1, a.encode()); err != nil || !reflect.DeepEqual(a, again) {
				t.Errorf("%+v and again %+v, %v", a, again, err)
			}
		}
		if u, err := decodeUser(1, b); err == nil {
			if again, err := decodeUser(1, u.encode()); err != nil || u != again {
				t.Errorf("%+v and again %+v, %v", u, again, err)
			}
		}
		if g, err := decodeGroup(1, b); err == nil {
			if again, err := decodeGroup(1, g.encode()); err != nil || g != again {
				t.Errorf("%+v and again %+v, %v", g, again, err)
			}
		}
	})
}
