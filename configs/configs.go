// Package configs holds the sample configuration: the files that the
// documentation shows, the demo uses and the tests load.
package configs

import "embed"

// Files are vaultsync.yaml and vaults.d.
//
//go:embed vaultsync.yaml vaults.d/*.yaml
var Files embed.FS
