package entra_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

const manyKinds = small + `
group Office kind=microsoft365
group Mailers kind=distribution
group Alarms kind=mailSecurity
group Secret hidden
group "O'Brien's \"best\""
member Secret: ann@contoso.com
`

func TestGroups(t *testing.T) {
	t.Parallel()
	w := open(t, manyKinds)
	gone := entrasim.IDOf("group Gone")
	ids := append(w.ids("group Sales", "group Office", "group Mailers", "group Alarms", "group Secret"), gone)
	infos, err := w.client.Groups(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for i, kind := range []string{"security", "microsoft365", "distribution", "mailSecurity"} {
		if g := infos[i]; g.ID != ids[i] || g.Kind != kind || g.State != directory.GroupPresent || g.Why != "" {
			t.Errorf("%+v, want %s", g, kind)
		}
	}
	if g := infos[4]; g.State != directory.GroupUnreadable || !g.Hidden || !strings.Contains(g.Why, "Member.Read.Hidden") {
		t.Errorf("hidden: %+v", g)
	}
	if g := infos[5]; g.State != directory.GroupMissing || g.ID != gone {
		t.Errorf("missing: %+v", g)
	}
	t.Run("a refused group is unreadable, never missing", func(t *testing.T) {
		for _, f := range []entrasim.Fault{
			{Kind: entrasim.FaultStatus, Status: 403, Code: "Authorization_RequestDenied", Path: "/groups/"},
			{Kind: entrasim.FaultHTML, Status: 404, Path: "/groups/"},
			{Kind: entrasim.FaultEmptyObject, Status: 404, Path: "/groups/"},
		} {
			fault := w.inject(f)
			infos, err := w.client.Groups(t.Context(), ids)
			if err != nil || infos[0].State != directory.GroupUnreadable || infos[5].State != directory.GroupUnreadable || infos[0].Why == "" {
				t.Errorf("%s: %v %+v", f.Kind, err, infos)
			}
			w.server.Remove(fault)
		}
	})
	t.Run("no ids, no request", func(t *testing.T) {
		before := w.client.Requests()
		if infos, err := w.client.Groups(t.Context(), nil); err != nil || len(infos) != 0 || w.client.Requests() != before {
			t.Errorf("%v %v", infos, err)
		}
	})
}

func TestManyGroups(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 45 {
		fmt.Fprintf(&text, "group G%d\n", i)
	}
	w := open(t, text.String())
	var ids []identity.ObjectID
	for i := range 45 {
		ids = append(ids, w.id(fmt.Sprintf("group G%d", i)))
	}
	infos, err := w.client.Groups(t.Context(), ids)
	if err != nil || w.client.Requests() != 3 {
		t.Fatalf("%v, %d requests", err, w.client.Requests())
	}
	for i, g := range infos {
		if g.Name != fmt.Sprintf("G%d", i) {
			t.Errorf("%d: %+v", i, g)
		}
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	w := open(t, manyKinds)
	names := func(text string, exact bool, limit int) string {
		t.Helper()
		infos, err := w.client.Search(t.Context(), text, exact, limit)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var names []string
		for _, g := range infos {
			names = append(names, fmt.Sprintf("%s:%d", g.Name, g.Members))
		}
		return strings.Join(names, "|")
	}
	if got := names("sales", false, 10); got != "Sales:3|Sales EU:2" {
		t.Errorf("part of a name: %s", got)
	}
	if got := names("Sales", true, 10); got != "Sales:3" {
		t.Errorf("exact: %s", got)
	}
	if got := names(`O'Brien's "best"`, true, 10); got != `O'Brien's "best":0` {
		t.Errorf("quotes: %s", got)
	}
	if got := names(`' or displayName ne '`, true, 10); got != "" {
		t.Errorf("an injected filter found %s", got)
	}
	if got := names("", false, 2); strings.Count(got, "|") != 1 {
		t.Errorf("limit: %s", got)
	}
	t.Run("a cloud that does not search", func(t *testing.T) {
		w.inject(entrasim.Fault{Kind: entrasim.FaultStatus, Status: 400, Code: "Request_UnsupportedQuery", Path: "/groups", Times: 1})
		if got := names("sales", false, 10); got != "Sales:3|Sales EU:2" {
			t.Errorf("%s", got)
		}
	})
	t.Run("a missing permission is named", func(t *testing.T) {
		w.apply("revoke GroupMember.Read.All")
		_, err := w.client.Search(t.Context(), "sales", false, 10)
		if !errors.Is(err, directory.ErrForbidden) || !strings.Contains(err.Error(), "GroupMember.Read.All") {
			t.Errorf("got %v", err)
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	w := open(t, small)
	access, err := w.client.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if access.TenantID != w.tenant.ID().String() || access.ClientID != entrasim.DemoClientID || access.Expires.IsZero() || access.RoundTrip <= 0 {
		t.Errorf("%+v", access)
	}
	if strings.Join(access.Permissions, ",") != "GroupMember.Read.All,User.Read.All" {
		t.Errorf("permissions %v", access.Permissions)
	}
	w.file("secret", "wrong")
	if _, err := w.client.Check(t.Context()); !errors.Is(err, directory.ErrSignIn) {
		t.Errorf("a check believes an old token: %v", err)
	}
}
