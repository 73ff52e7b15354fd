package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// digest is a hash of the settings that matter to what runs do. Where a file
// lies, what is logged, where the API listens and how many vaults run at once
// do not.
func (c *Config) digest() string {
	directories := slices.Clone(c.Directories)
	slices.SortFunc(directories, func(a, b Directory) int { return cmp.Compare(a.Name, b.Name) })
	licenses := slices.Clone(c.EmbeddedStore.Licenses)
	slices.SortFunc(licenses, func(a, b LicensePool) int { return cmp.Compare(a.Type, b.Type) })
	vaults := make([]vaultSettings, len(c.Vaults))
	for i, v := range c.Vaults {
		vaults[i] = v.settings()
	}
	slices.SortFunc(vaults, func(a, b vaultSettings) int { return cmp.Compare(a.Name, b.Name) })
	return hash("configuration 1", struct {
		DataDir     string
		Disables    Guard
		Licenses    []LicensePool
		Directories []Directory
		Vaults      []vaultSettings
	}{c.DataDir, c.Disables, licenses, directories, vaults})
}

// vaultSettings are a vault's settings as they are hashed.
type vaultSettings struct {
	Vault
	Zone string // in place of Schedule.TimeZone, which has no fields to hash
}

func (v Vault) settings() vaultSettings {
	zone := ""
	if v.Schedule.TimeZone != nil {
		zone = v.Schedule.TimeZone.String()
	}
	v.File = ""
	v.Schedule.TimeZone = nil
	v.Accounts.Protected = folded(v.Accounts.Protected)
	return vaultSettings{Vault: v, Zone: zone}
}

// Digest is a hash (hex) of what decides who has which account and groups in
// the vault: directory, groups, accounts, attributes and scope. A vault whose
// digest is another than at its last run is evaluated in full.
func (v Vault) Digest() string {
	v.Accounts.Protected = folded(v.Accounts.Protected)
	return hash("vault 1", struct {
		Directory  string
		Groups     []Group
		Accounts   Accounts
		Attributes []Attribute
		Scope      string
	}{v.Directory, v.Groups, v.Accounts, v.Attributes, v.Scope})
}

// folded is a list of names of which neither order nor spelling matters.
func folded(names []string) []string {
	var list []string
	for _, name := range names {
		list = append(list, identity.Fold(name))
	}
	slices.Sort(list)
	return list
}

// hash is the SHA-256 of a value's JSON after a version of what is hashed.
// Secrets hide themselves from JSON.
func hash(version string, settings any) string {
	text, err := json.Marshal(settings)
	if err != nil {
		// Plain structs of strings, numbers and lists have a JSON form always.
		panic(fmt.Sprintf("config: settings without a JSON form: %v", err)) //nolint:forbidigo // cannot happen, and a digest of nothing would equal any other
	}
	sum := sha256.Sum256(append([]byte("vaultsync "+version+"\n"), text...))
	return hex.EncodeToString(sum[:])
}
