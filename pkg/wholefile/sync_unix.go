//go:build !windows

package wholefile

import (
	"errors"
	"fmt"
	"os"
)

// SyncDir makes a new name in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // a folder of the configuration
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
