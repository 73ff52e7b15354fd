package entrasim_test

import (
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

const small = `
user ann@contoso.com "Ann B" mail=ann@contoso.com department=Sales ext1=x
user bob@contoso.com "Bob C" enabled=false type=Guest
user eve@contoso.com "Eve D"
group Sales description="All who sell"
group "Sales EU"
group Empty
device "Laptop 7"
member Sales: ann@contoso.com, group Sales EU, device Laptop 7
member Sales EU: bob@contoso.com, ann@contoso.com
`

func id(ref string) string { return entrasim.IDOf(ref).String() }

func TestFirstRoundIsTheCurrentState(t *testing.T) {
	t.Parallel()
	c := start(t, small)
	link, entries, _ := c.round("/v1.0/groups/delta?$select=displayName,members")
	v := newView()
	v.apply(entries)
	if len(v.objects) != 3 || !v.members[id("group Sales")][id("device Laptop 7")] || len(v.members[id("group Sales")]) != 3 {
		t.Errorf("groups: %v", v)
	}
	if link == "" {
		t.Error("no deltaLink")
	}
	_, entries, _ = c.round("/v1.0/users/delta?$select=userPrincipalName,accountEnabled,onPremisesExtensionAttributes")
	if len(entries) != 3 {
		t.Errorf("users: %v", entries)
	}
}
