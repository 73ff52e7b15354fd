package roster

import (
	"strconv"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// ScopeInputs are the properties of a person that the scope expression reads,
// by source path, as the expression sees them; nil without an expression.
func (r *Rules) ScopeInputs(p identity.Person) map[string]string {
	if r.scope == nil {
		return nil
	}
	saw := make(map[string]string, len(r.scope.paths))
	for _, path := range r.scope.paths {
		switch path {
		case identity.AccountEnabled:
			saw[path] = strconv.FormatBool(!p.Disabled())
		case "onPremisesSyncEnabled":
			saw[path] = strconv.FormatBool(p.Value(path) == "true")
		default:
			saw[path] = p.Value(path)
		}
	}
	return saw
}
