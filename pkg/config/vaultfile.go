package config

import (
	"math"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// never stands for a wait without an end.
const never = time.Duration(-1)

func defaultVault() Vault {
	common := Guard{Count: 100, Percent: 20, Minimum: 25}
	return Vault{
		Schedule: defaultSchedule(),
		Accounts: Accounts{
			LoginName:           identity.UserPrincipalName,
			Match:               []string{"externalId", "loginName"},
			Adopt:               true,
			DisabledInDirectory: "leave",
			EnableDisabledUsers: "own",
			License:             identity.LicenseNamed,
			LicenseOrder:        []identity.License{identity.LicenseNamed, identity.LicenseConcurrent, identity.LicenseReadOnly},
			ReleaseLicenseAfter: never,
		},
		Repair: true,
		Guards: Guards{
			Disables:       common,
			Creates:        Guard{Count: 1000},
			LoginChanges:   common,
			Vanished:       common,
			MemberRemovals: Guard{Percent: 50, Minimum: 10},
			EmptyGroup:     true,
			MissingGroup:   true,
		},
	}
}

// readVault reads one vault's file.
func readVault(doc *document) Vault {
	vault := defaultVault()
	vault.File = doc.file
	drift := "repair"
	doc.root.object(
		need("vault", "write the vault's name", into(&vault.Name, name())),
		need("directory", "write the name of one of vaultsync.yaml's directories", into(&vault.Directory, name())),
		need("store", "write {type: embedded}", readStore(&vault.Store)),
		may("schedule", "every 15m", readSchedule(&vault.Schedule)),
		need("groups", "list the groups whose members get access; [] means nobody", readGroups(&vault.Groups)),
		may("accounts", "the defaults", readAccounts(&vault.Accounts)),
		may("attributes", "none", readAttributes(&vault.Attributes)),
		may("scope", "everybody", into(&vault.Scope, prose())),
		may("drift", "repair", into(&drift, oneOf("repair", "report"))),
		may("guards", "the defaults", readGuards(&vault.Guards)),
	)
	vault.Repair = drift == "repair"
	return vault
}

func readGroups(groups *[]Group) reader {
	licenses := oneOf(identity.LicenseNamed, identity.LicenseConcurrent, identity.LicenseReadOnly, identity.NoLicense)
	return items(func(v value) {
		group := Group{Nested: true}
		known := v.object(
			may("id", "", into(&group.ID, objectID("an object id", "write the group's 36-character object id, or use name:"))),
			may("name", "", into(&group.Name, text(false))),
			may("vaultGroup", "the directory's display name", into(&group.VaultGroup, text(false))),
			may("nested", "true", into(&group.Nested, yesNo())),
			may("license", "the accounts' licence", into(&group.License, licenses)),
		)
		if known {
			v.exactlyOne("id", "name")
		}
		*groups = append(*groups, group)
	})
}

func readAccounts(a *Accounts) reader {
	order := oneOf(identity.LicenseNamed, identity.LicenseConcurrent, identity.LicenseReadOnly)
	licenses := oneOf(identity.LicenseNamed, identity.LicenseConcurrent, identity.LicenseReadOnly, identity.NoLicense)
	after := "write {after: 0s}"
	return keys(
		may("loginName", "userPrincipalName", into(&a.LoginName, source())),
		may("match", "[externalId, loginName]", intoList(&a.Match, oneOf("externalId", "loginName", "mail"), same, false)),
		may("relink", "false", into(&a.Relink, yesNo())),
		may("adopt", "true", into(&a.Adopt, yesNo())),
		may("onLeave", "{after: 0s}", keys(need("after", after, into(&a.OnLeaveAfter, span(0))))),
		may("disabledInDirectory", "leave", into(&a.DisabledInDirectory, oneOf("leave", "ignore"))),
		may("enableDisabledUsers", "own", into(&a.EnableDisabledUsers, oneOf("own", "all", "never"))),
		may("license", "named", into(&a.License, licenses)),
		may("licenseOrder", "[named, concurrent, readOnly]", intoList(&a.LicenseOrder, order, same, false)),
		may("licenseFallback", "false", into(&a.LicenseFallback, yesNo())),
		may("releaseLicense", "{after: never}", keys(need("after", "write {after: never}", into(&a.ReleaseLicenseAfter, spanOrNever())))),
		may("protected", "nobody", intoList(&a.Protected, text(false), sameFolded, true)),
	)
}

func spanOrNever() format[time.Duration] {
	f := span(0)
	return format[time.Duration]{temporal, func(s string) (time.Duration, *fault) {
		if s == "never" {
			return never, nil
		}
		d, wrong := f.parse(s)
		if wrong != nil {
			wrong = &fault{wrong.message, "write never, or a duration like 30d"}
		}
		return d, wrong
	}}
}

func readAttributes(list *[]Attribute) reader {
	return items(func(v value) {
		var one Attribute
		v.object(
			need("source", "write the property of the directory's user, like department", into(&one.Source, source())),
			need("target", "write the attribute of the vault's user, like info1", into(&one.Target, text(false))),
		)
		*list = append(*list, one)
	})
}

func readGuards(g *Guards) reader {
	hold := func(target *bool) reader {
		return func(v value) {
			word := "hold"
			into(&word, oneOf("hold", "allow"))(v)
			*target = word == "hold"
		}
	}
	return keys(
		may("disables", "{count: 100, percent: 20, minimum: 25}", readGuard(&g.Disables, "count", "percent", "minimum")),
		may("creates", "{count: 1000}", readGuard(&g.Creates, "count")),
		may("loginChanges", "{count: 100, percent: 20, minimum: 25}", readGuard(&g.LoginChanges, "count", "percent", "minimum")),
		may("vanished", "{count: 100, percent: 20, minimum: 25}", readGuard(&g.Vanished, "count", "percent", "minimum")),
		may("memberRemovals", "{percent: 50, minimum: 10}", readGuard(&g.MemberRemovals, "percent", "minimum")),
		may("emptyGroup", "hold", hold(&g.EmptyGroup)),
		may("missingGroup", "hold", hold(&g.MissingGroup)),
	)
}

// readGuard reads the limits of a guard that it has; those left out keep their
// defaults.
func readGuard(g *Guard, limits ...string) reader {
	var fields []field
	for _, limit := range limits {
		switch limit {
		case "count":
			fields = append(fields, may(limit, "the default", into(&g.Count, number(0, math.MaxInt32))))
		case "percent":
			fields = append(fields, may(limit, "the default", into(&g.Percent, number(0, 100))))
		case "minimum":
			fields = append(fields, may(limit, "the default", into(&g.Minimum, number(0, math.MaxInt32))))
		}
	}
	return keys(fields...)
}

// exactlyOne reports the object v when none or several of these keys stand in
// it.
func (v value) exactlyOne(names ...string) {
	var found []string
	for _, name := range names {
		if v.doc.has(join(v.key, name)) {
			found = append(found, name)
		}
	}
	switch {
	case len(found) == 0:
		v.fault("lacks "+strings.Join(names, " or "), "write one")
	case len(found) > 1:
		last := join(v.key, found[len(found)-1])
		v.doc.to.add(v.doc.at(last), "stands beside "+strings.Join(found[:len(found)-1], " and "), "keep one of them")
	}
}
