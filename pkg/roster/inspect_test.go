package roster_test

import (
	"maps"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/roster"
)

func TestScopeInputsAreWhatTheExpressionReads(t *testing.T) {
	t.Parallel()
	person := identity.Person{ID: identity.ObjectID{1}, Attributes: map[string]string{
		"department": "Sales", "accountEnabled": "false", "onPremisesExtensionAttributes.extensionAttribute1": "x", "city": "Espoo",
	}}
	for _, c := range []struct {
		name, scope string
		want        map[string]string
	}{
		{"without an expression nothing is read", "", nil},
		{"a property that is named twice is read once", `user.department == "Sales" || user.department == "HR"`, map[string]string{"department": "Sales"}},
		{"a property without a value is empty", `user.jobTitle == ""`, map[string]string{"jobTitle": ""}},
		{"states are true or false", `user.accountEnabled && user.onPremisesSyncEnabled`, map[string]string{"accountEnabled": "false", "onPremisesSyncEnabled": "false"}},
		{"a nested property has its path", `user.onPremisesExtensionAttributes.extensionAttribute1 != "x"`, map[string]string{"onPremisesExtensionAttributes.extensionAttribute1": "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rules, err := roster.Compile(config.Vault{Scope: c.scope, Accounts: config.Accounts{LoginName: identity.UserPrincipalName}})
			if err != nil {
				t.Fatal(err)
			}
			if got := rules.ScopeInputs(person); !maps.Equal(got, c.want) || (got == nil) != (c.want == nil) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
