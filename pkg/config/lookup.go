package config

import "strings"

// Vault is the vault of a name, in any case.
func (c *Config) Vault(name string) (Vault, bool) {
	for _, v := range c.Vaults {
		if strings.EqualFold(v.Name, name) {
			return v, true
		}
	}
	return Vault{}, false
}

// Directory is the directory of a name, spelled as its vaults spell it.
func (c *Config) Directory(name string) (Directory, bool) {
	for _, d := range c.Directories {
		if d.Name == name {
			return d, true
		}
	}
	return Directory{}, false
}
