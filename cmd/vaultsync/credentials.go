package main

import (
	"os"
	"path/filepath"
)

// credentialFile is where a file with a secret is to be read: systemd hands the
// files that the unit names to the service in a folder of its own, each under
// its base name, so that only root can read the originals.
func credentialFile(path string) string {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" || path == "" {
		return path
	}
	if handed := filepath.Join(dir, filepath.Base(path)); exists(handed) {
		return handed
	}
	return path
}
