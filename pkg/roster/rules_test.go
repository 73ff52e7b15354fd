package roster_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/roster"
)

func file() config.Vault {
	return config.Vault{
		File: "sales.yaml", Name: "sales",
		Accounts: config.Accounts{
			LoginName: "userPrincipalName", DisabledInDirectory: "leave", License: identity.LicenseNamed,
			LicenseOrder: []identity.License{identity.LicenseNamed, identity.LicenseConcurrent, identity.LicenseReadOnly},
		},
	}
}

func person(attributes map[string]string) identity.Person {
	all := map[string]string{"userPrincipalName": "ann@contoso.com", "displayName": "Ann", "mail": "ann.b@contoso.com", "userType": "Member", "accountEnabled": "true"}
	maps.Copy(all, attributes)
	maps.DeleteFunc(all, func(_, v string) bool { return v == "" })
	return identity.Person{ID: identity.ObjectID{1}, Attributes: all}
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, scope string
		want        []string // parts of the error; none: it compiles
	}{
		{"a comparison compiles", `user.userType == "Member"`, nil},
		{"a nested property compiles", `user.onPremisesExtensionAttributes.extensionAttribute3 startsWith "x"`, nil},
		{"the account's state is true or false", `user.accountEnabled and not user.onPremisesSyncEnabled`, nil},
		{"a property by its quoted name compiles", `user["department"] in ["Sales", "HR"]`, nil},
		{"an unknown property is named", `user.departmnt == "Sales"`, []string{"sales.yaml", "scope", "departmnt"}},
		{"an unknown name is named", `usr.department == "Sales"`, []string{"sales.yaml", "scope", "usr"}},
		{"an extension attribute that there is not is named", `user.onPremisesExtensionAttributes.extensionAttribute16 == ""`, []string{"extensionAttribute16"}},
		{"text where true or false is wanted is refused", `user.department`, []string{"scope", "bool"}},
		{"text compared with a number is refused", `user.department > 3`, []string{"scope"}},
		{"a syntax error names the place", `user.department == `, []string{"scope", "(1:"}},
		{"an expression too large is refused", strings.Repeat(`user.department == "x" or `, 100) + "true", []string{"scope"}},
		{"the clock is no part of it", `now().Year() > 2020`, []string{"scope"}},
		{"user as a whole is refused: nobody could say which properties to read", `let u = user; u.department == "Sales"`, []string{"scope", "user."}},
		{"a property by a computed name is refused", `user["depart" + user.city] == "x"`, []string{"scope", "user."}},
		{"the environment as a whole is refused", `$env.user.department == "x"`, []string{"scope", "user."}},
		{"the extension attributes as a whole are refused", `let e = user.onPremisesExtensionAttributes; e.extensionAttribute1 == "x"`, []string{"scope", "user."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := file()
			v.Scope = c.scope
			_, err := roster.Compile(v)
			if len(c.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("it compiles")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}

	t.Run("all problems of a file are reported at once, with place and suggestion", func(t *testing.T) {
		t.Parallel()
		v := file()
		v.Scope, v.Accounts.LoginName = "user.x", "UserPrincipalname"
		v.Attributes = []config.Attribute{{Source: "Department", Target: "a"}, {Source: "= user.city + 1", Target: "b"}, {Source: "extensionAttribute1", Target: "c"}}
		_, err := roster.Compile(v)
		if err == nil {
			t.Fatal("it compiles")
		}
		for _, part := range []string{"scope", "did you mean department?", "attributes[0].source", "attributes[1].source", "attributes[2].source", "onPremisesExtensionAttributes.extensionAttribute1", "accounts.loginName", "did you mean userPrincipalName?"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is missing in:\n%v", part, err)
			}
		}
	})

	t.Run("the sources are what rules read, sorted, each once", func(t *testing.T) {
		t.Parallel()
		v := file()
		v.Scope = `user.city == "x" or (user.onPremisesExtensionAttributes.extensionAttribute2 == "" and user["state"] != "") or false and user.country == "y"`
		v.Accounts.LoginName = "onPremisesSamAccountName"
		v.Attributes = []config.Attribute{
			{Source: "department", Target: "a"},
			{Source: `= user.givenName + " " + user.surname`, Target: "b"},
			{Source: "extension_0123456789abcdef0123456789abcdef_costCentre", Target: "c"},
			{Source: "= user.id", Target: "d"},
		}
		r, err := roster.Compile(v)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"accountEnabled", "city", "country", "department", "displayName", "extension_0123456789abcdef0123456789abcdef_costCentre", "givenName", "mail",
			"onPremisesExtensionAttributes.extensionAttribute2", "onPremisesSamAccountName", "state", "surname", "userPrincipalName", "userType",
		}
		if got := r.Sources(); !slices.Equal(got, want) {
			t.Errorf("sources %q\nwant    %q", got, want)
		}
	})
}

func TestAccount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		attributes map[string]string
		want       map[string]string
		err        error
	}{
		{"a person has login name, full name and e-mail", nil, map[string]string{"loginName": "ann@contoso.com", "fullName": "Ann", "email": "ann.b@contoso.com", "attributes.info1": "", "attributes.info2": ""}, nil},
		{"attributes come from properties and expressions", map[string]string{"department": "Sales", "city": "Espoo"}, map[string]string{"attributes.info1": "Sales", "attributes.info2": "ESPOO"}, nil},
		{"a property without a value clears the field", map[string]string{"department": ""}, map[string]string{"attributes.info1": ""}, nil},
		{"a person without mail has none", map[string]string{"mail": ""}, map[string]string{"email": ""}, nil},
		{"a person without a display name is shown by the login name", map[string]string{"displayName": ""}, map[string]string{"fullName": "ann@contoso.com"}, nil},
		{"a guest signs in by mail, not by the tenant's made-up name", map[string]string{"userPrincipalName": "bob_fabrikam.com#EXT#@contoso.com", "mail": "bob@fabrikam.com"}, map[string]string{"loginName": "bob@fabrikam.com"}, nil},
		{"a guest without mail keeps the made-up name", map[string]string{"userPrincipalName": "bob_fabrikam.com#EXT#@contoso.com", "mail": ""}, map[string]string{"loginName": "bob_fabrikam.com#EXT#@contoso.com"}, nil},
		{"a person without the attribute of the login name fails alone", map[string]string{"userPrincipalName": ""}, nil, roster.ErrNoLoginName},
		{"letters of any script are kept as they are", map[string]string{"userPrincipalName": "İ😀@contoso.com", "displayName": "Ünal"}, map[string]string{"loginName": "İ😀@contoso.com", "fullName": "Ünal"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := file()
			v.Attributes = []config.Attribute{{Source: "department", Target: "info1"}, {Source: "= upper(user.city)", Target: "info2"}}
			r, err := roster.Compile(v)
			if err != nil {
				t.Fatal(err)
			}
			a, err := r.Account(person(c.attributes))
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			for name, want := range c.want {
				if got, ok := a.Fields[name]; !ok || got != want {
					t.Errorf("%s: %q, %v, want %q", name, got, ok, want)
				}
			}
		})
	}

	t.Run("an expression that fails for one person fails that person alone", func(t *testing.T) {
		t.Parallel()
		v := file()
		v.Attributes = []config.Attribute{{Source: `= string(int(user.employeeId) + 1)`, Target: "n"}}
		r, err := roster.Compile(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Account(person(map[string]string{"employeeId": "x"})); err == nil || !strings.Contains(err.Error(), "attributes.n") {
			t.Errorf("%v", err)
		}
		if a, err := r.Account(person(map[string]string{"employeeId": "41"})); err != nil || a.Fields["attributes.n"] != "42" {
			t.Errorf("%v %v", a, err)
		}
	})

	for _, c := range []struct {
		name     string
		given    []identity.License
		fallback bool
		want     identity.License
		stand    []identity.License
	}{
		{"several groups: the first in the order counts", []identity.License{"readOnly", "named"}, false, "named", nil},
		{"with a fallback, the later ones stand in", []identity.License{"readOnly", "concurrent"}, true, "concurrent", []identity.License{"readOnly"}},
		{"no licence is given by a group without one, and nothing stands in", []identity.License{"none"}, true, "none", nil},
		{"one without and one with: with", []identity.License{"none", "readOnly"}, false, "readOnly", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := file()
			v.Accounts.LicenseFallback = c.fallback
			r, err := roster.Compile(v)
			if err != nil {
				t.Fatal(err)
			}
			if license, fallback := r.License(c.given); license != c.want || !slices.Equal(fallback, c.stand) {
				t.Errorf("%s, %v", license, fallback)
			}
		})
	}
}
