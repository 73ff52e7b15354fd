package vaulttest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// describe writes a user so that two users are equal when their texts are: no
// attributes and an empty map of them are the same.
func describe(u vault.User) string {
	var b strings.Builder
	fmt.Fprintf(&b, "id=%q login=%q name=%q mail=%q enabled=%v licence=%q external=%q managed=%v",
		u.ID, u.LoginName, u.FullName, u.Email, u.Enabled, u.License, u.ExternalID, u.Managed)
	for _, name := range slices.Sorted(maps.Keys(u.Attributes)) {
		fmt.Fprintf(&b, " %q=%q", name, u.Attributes[name])
	}
	return b.String()
}
