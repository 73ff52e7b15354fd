//go:build !windows

package main

import (
	"fmt"
	"os"
)

// restrict keeps others out of the data directory.
func restrict(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder needs x
		return fmt.Errorf("keep others out of the data directory: %w", err)
	}
	return nil
}
