package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// checkDirectories reports directories that stand twice.
func (l *loader) checkDirectories(directories []Directory) {
	for i, d := range directories {
		earlier := slices.IndexFunc(directories[:i], func(other Directory) bool { return strings.EqualFold(other.Name, d.Name) })
		if d.Name != "" && earlier >= 0 {
			l.findings.add(l.server.at(fmt.Sprintf("directories[%d].name", i)),
				fmt.Sprintf("%q is the name of directories[%d] already", d.Name, earlier), "choose another name")
		}
	}
}

// checkVaults reports what is wrong within a vault as a whole and between
// vaults. Settings that were reported already are not looked at.
func (l *loader) checkVaults(directories []Directory) {
	for i, file := range l.vaults {
		file.checkDirectory(directories)
		file.checkGroups()
		file.checkLicenses()
		file.checkAttributes()
		file.checkTargets(l.checkTarget)
		file.checkAgainst(l.vaults[:i])
	}
}

func (f vaultFile) fault(key, message, fix string) { f.doc.to.add(f.doc.at(key), message, fix) }

func (f vaultFile) checkDirectory(directories []Directory) {
	var known []string
	for _, d := range directories {
		if d.Name == f.Directory {
			return
		}
		known = append(known, d.Name)
	}
	// With a directory whose own name is wrong, or none at all, anything said
	// here would send the reader to the wrong file.
	if f.Directory == "" || len(known) == 0 || slices.Contains(known, "") {
		return
	}
	f.fault("directory", fmt.Sprintf("%q is not a directory of vaultsync.yaml", f.Directory), suggest(f.Directory, known))
}

// checkGroups reports groups that are the same in the directory or would be in
// the vault. What a group without vaultGroup will be called is known when it
// is configured by name.
func (f vaultFile) checkGroups() {
	ids := map[identity.ObjectID]int{}
	names := map[string]int{}
	vaultNames := map[string]int{}
	for i, g := range f.Groups {
		at := fmt.Sprintf("groups[%d]", i)
		if first, twice := earlier(ids, g.ID, i); twice {
			f.fault(at+".id", fmt.Sprintf("%s is the group of groups[%d] already", g.ID, first), "keep one of the two")
			continue
		}
		if first, twice := earlier(names, identity.Fold(g.Name), i); twice {
			f.fault(at+".name", fmt.Sprintf("%s is the group of groups[%d] already", quote(g.Name), first), "keep one of the two")
			continue
		}
		if first, twice := earlier(vaultNames, identity.Fold(g.vaultName()), i); twice {
			f.fault(at+".vaultGroup", fmt.Sprintf("%s is the vault group of groups[%d] already", quote(g.vaultName()), first), "choose another vaultGroup for one of the two")
		}
	}
}

// earlier is the index at which a key was seen first; it notes i when it was
// not. The zero key is that of a setting that was left out.
func earlier[K comparable](seen map[K]int, key K, i int) (first int, twice bool) {
	var none K
	if key == none {
		return 0, false
	}
	first, twice = seen[key]
	if !twice {
		seen[key] = i
	}
	return first, twice
}

// vaultName is the group's name in the vault as far as the files tell.
func (g Group) vaultName() string {
	if g.VaultGroup != "" {
		return g.VaultGroup
	}
	return g.Name
}

// checkLicenses reports a licence type that is given out but has no place in
// the order, so that it could not be compared with another.
func (f vaultFile) checkLicenses() {
	if !f.sound("accounts.licenseOrder") {
		return
	}
	report := func(key string, license identity.License) {
		if license == "" || license == identity.NoLicense || slices.Contains(f.Accounts.LicenseOrder, license) {
			return
		}
		f.fault(key, fmt.Sprintf("%q is not in accounts.licenseOrder", license), "add it there: the order decides when several groups apply")
	}
	if f.doc.has("accounts.license") {
		report("accounts.license", f.Accounts.License)
	} else if slices.ContainsFunc(f.Groups, func(g Group) bool { return g.License == "" }) {
		report("accounts.licenseOrder", f.Accounts.License) // the default is missing from it
	}
	for i, g := range f.Groups {
		report(fmt.Sprintf("groups[%d].license", i), g.License)
	}
}

// checkAttributes reports targets that are written twice: by two attributes,
// or by an attribute and vaultsync itself.
func (f vaultFile) checkAttributes() {
	own := []string{"loginName", "fullName", "email"}
	if scim := f.Store.SCIM; scim != nil {
		own = append(own, "id", "schemas", "meta", "externalId", "userName", "displayName", "active", "emails", "groups", "password")
		if scim.LicenseAttribute != "" {
			own = append(own, scim.LicenseAttribute)
		}
	}
	for i, a := range f.Attributes {
		at := fmt.Sprintf("attributes[%d].target", i)
		if a.Target == "" {
			continue
		}
		if slices.ContainsFunc(own, func(name string) bool { return sameFolded(name, a.Target) }) {
			f.fault(at, quote(a.Target)+" is written by vaultsync itself", "choose another target, or remove the attribute")
		}
		for j, other := range f.Attributes[:i] {
			if sameFolded(a.Target, other.Target) {
				f.fault(at, fmt.Sprintf("%s is the target of attributes[%d] already", quote(a.Target), j), "keep one of the two")
				break
			}
		}
	}
}

// checkTargets reports what the store's driver cannot write.
func (f vaultFile) checkTargets(check func(storeType, target string) error) {
	report := func(key, target string) {
		if check == nil || target == "" || !f.sound(key) {
			return
		}
		if err := check(f.Store.Type, target); err != nil {
			fix := "choose another target, or remove it"
			if hinted, ok := err.(interface{ Hint() string }); ok && hinted.Hint() != "" {
				fix = hinted.Hint()
			}
			f.fault(key, err.Error(), fix)
		}
	}
	for i, a := range f.Attributes {
		report(fmt.Sprintf("attributes[%d].target", i), a.Target)
	}
	if scim := f.Store.SCIM; scim != nil {
		report("store.licenseAttribute", scim.LicenseAttribute)
	}
}

// checkAgainst reports what this vault must not share with the earlier ones,
// each kind once.
func (f vaultFile) checkAgainst(earlier []vaultFile) {
	if other, found := find(earlier, func(other vaultFile) bool {
		return f.Name != "" && strings.EqualFold(f.Name, other.Name)
	}); found {
		f.fault("vault", fmt.Sprintf("%q is the vault of %s already", f.Name, other.File), "choose another name")
	}
	if other, found := find(earlier, func(other vaultFile) bool {
		return f.Store.SCIM != nil && other.Store.SCIM != nil && f.Store.SCIM.URL != "" &&
			strings.EqualFold(f.Store.SCIM.URL, other.Store.SCIM.URL)
	}); found {
		f.fault("store.url", "the vault of "+other.File+" writes to this service already, and each would disable the other's people", "give each vault a service of its own")
	}
	const loginName = "accounts.loginName"
	if other, found := find(earlier, func(other vaultFile) bool {
		return f.Store.Type == "embedded" && other.Store.Type == "embedded" && f.Directory == other.Directory &&
			f.Accounts.LoginName != other.Accounts.LoginName && f.sound(loginName) && other.sound(loginName)
	}); found {
		f.fault(loginName, fmt.Sprintf("%q differs from %q in %s, but the two vaults share their login accounts",
			f.Accounts.LoginName, other.Accounts.LoginName, other.File), "write the same loginName in all vaults of a directory with store embedded")
	}
}

// sound reports whether nothing was found wrong with a key or what is in it,
// so that its value is what the file says.
func (f vaultFile) sound(key string) bool {
	return !slices.ContainsFunc(f.doc.to.list, func(p Problem) bool {
		return p.File == f.doc.file && strings.HasPrefix(p.Key, key)
	})
}

func find(list []vaultFile, match func(vaultFile) bool) (vaultFile, bool) {
	if at := slices.IndexFunc(list, match); at >= 0 {
		return list[at], true
	}
	return vaultFile{}, false
}
