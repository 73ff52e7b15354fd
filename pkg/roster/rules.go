// Package roster says who should have which account and which groups in a
// vault, and why: the mirror of the directory seen through the vault's
// configuration. It is pure: no I/O of its own, no time.
package roster

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Rules are one vault's rules, compiled.
type Rules struct {
	Vault      config.Vault
	scope      *expression // nil lets everybody in
	attributes []attribute
	sources    []string
}

type attribute struct {
	target string
	path   string      // a source path, or
	value  *expression // an expression
}

// Account is what a person's account in the vault should say.
type Account struct {
	// Fields are the synchronized fields by name: loginName, fullName, email
	// and attributes.TARGET. A field without a value is "".
	Fields map[string]string
	// License is the licence for a new login account; Fallback are those to
	// try when there is none left, in order.
	License  identity.License
	Fallback []identity.License
}

// Login is the login name.
func (a Account) Login() string { return a.Fields["loginName"] }

// ErrNoLoginName means that the person lacks the attribute that login names
// are made from: that person fails, alone.
var ErrNoLoginName = errors.New("no login name")

// Compile checks and compiles the expressions of a vault's file.
func Compile(v config.Vault) (*Rules, error) {
	r := &Rules{Vault: v}
	sources := map[string]bool{
		identity.UserPrincipalName: true, identity.DisplayName: true, identity.Mail: true,
		identity.AccountEnabled: true, identity.UserType: true, v.Accounts.LoginName: true,
	}
	var problems []error
	if v.Scope != "" {
		scope, err := compile(v.Scope, wantBool)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: scope: %w", v.File, err))
		} else {
			r.scope = scope
			scope.addSources(sources)
		}
	}
	for i, a := range v.Attributes {
		text, isExpression := strings.CutPrefix(strings.TrimSpace(a.Source), "=")
		if !isExpression {
			if !knownPath(a.Source) {
				problems = append(problems, fmt.Errorf("%s: attributes[%d].source: %q is not a property of a directory user%s", v.File, i, a.Source, suggest(a.Source)))
			}
			sources[a.Source] = true
			r.attributes = append(r.attributes, attribute{target: "attributes." + a.Target, path: a.Source})
			continue
		}
		value, err := compile(text, wantString)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: attributes[%d].source: %w", v.File, i, err))
			continue
		}
		value.addSources(sources)
		r.attributes = append(r.attributes, attribute{target: "attributes." + a.Target, value: value})
	}
	if !knownPath(v.Accounts.LoginName) {
		problems = append(problems, fmt.Errorf("%s: accounts.loginName: %q is not a property of a directory user%s", v.File, v.Accounts.LoginName, suggest(v.Accounts.LoginName)))
	}
	delete(sources, "id")
	r.sources = slices.Sorted(maps.Keys(sources))
	return r, errors.Join(problems...)
}

// Sources are the attributes of people that the rules read, by source path,
// sorted.
func (r *Rules) Sources() []string { return r.sources }

// Account is what a person's account should say, without the licence.
func (r *Rules) Account(p identity.Person) (Account, error) {
	fields := map[string]string{
		"loginName": r.loginName(p),
		"fullName":  p.Value(identity.DisplayName),
		"email":     p.Value(identity.Mail),
	}
	if fields["fullName"] == "" {
		fields["fullName"] = fields["loginName"]
	}
	if fields["loginName"] == "" {
		return Account{}, fmt.Errorf("%w: the person has no %s in the directory", ErrNoLoginName, r.Vault.Accounts.LoginName)
	}
	for _, a := range r.attributes {
		if a.value == nil {
			fields[a.target] = p.Value(a.path)
			continue
		}
		text, err := a.value.text(p)
		if err != nil {
			return Account{}, fmt.Errorf("%s: %w", a.target, err)
		}
		fields[a.target] = text
	}
	return Account{Fields: fields}, nil
}

// Login is the login name that the account of a person should have; "" when
// the person lacks the attribute it is made from.
func (r *Rules) Login(p identity.Person) string { return r.loginName(p) }

// loginName is the configured attribute. A guest's user principal name is made
// up by the tenant (ann_fabrikam.com#EXT#@contoso…) and signs nobody in; a
// guest signs in, and is recognized, by the mail address of the home tenant.
func (r *Rules) loginName(p identity.Person) string {
	login := p.Value(r.Vault.Accounts.LoginName)
	if strings.Contains(login, "#EXT#") && p.Value(identity.Mail) != "" {
		return p.Value(identity.Mail)
	}
	return login
}

// License is the first licence in the configured order among those that a
// person's groups give, and what may stand in for it.
func (r *Rules) License(given []identity.License) (identity.License, []identity.License) {
	order := r.Vault.Accounts.LicenseOrder
	chosen := identity.NoLicense
	at := len(order)
	for i, l := range order {
		if slices.Contains(given, l) {
			chosen, at = l, i
			break
		}
	}
	if at == len(order) || !r.Vault.Accounts.LicenseFallback {
		return chosen, nil
	}
	return chosen, slices.Clone(order[at+1:])
}

// GroupLicense is the licence that a configured group gives.
func (r *Rules) GroupLicense(g config.Group) identity.License {
	if g.License != "" {
		return g.License
	}
	return r.Vault.Accounts.License
}

// InScope says whether the scope expression lets a person in.
func (r *Rules) InScope(p identity.Person) (bool, error) {
	if r.scope == nil {
		return true, nil
	}
	return r.scope.truth(p)
}
