package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// readable refuses what would make the first start fail: files that the user
// whom systemd makes for the service, and who owns nothing, could not read, and
// secrets that are not there to be handed over.
func readable(i Installation) error {
	var faults []error
	for _, file := range i.Files {
		need := os.FileMode(0o4)
		for at := filepath.Clean(file); ; at = filepath.Dir(at) {
			info, err := os.Stat(at)
			if err != nil {
				faults = append(faults, fmt.Errorf("the service needs %s: %w", file, err))
				break
			}
			if info.IsDir() {
				need |= 0o1
			}
			if info.Mode().Perm()&need != need {
				faults = append(faults, fmt.Errorf("the service, which runs as a user of its own, could not read %s: chmod %s %s", file, map[os.FileMode]string{0o4: "o+r", 0o5: "o+rx", 0o1: "o+x"}[need], at))
				break
			}
			if at == filepath.Dir(at) {
				break
			}
			need = 0o1
		}
	}
	for _, file := range i.Credentials {
		if _, err := os.Stat(file); err != nil {
			faults = append(faults, fmt.Errorf("the service needs the secret %s: %w: put it there with `vaultsync secret set`", file, err))
		}
	}
	return errors.Join(faults...)
}
