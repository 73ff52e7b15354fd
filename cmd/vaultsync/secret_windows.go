package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// secretACL is for SYSTEM, administrators and the owner alone.
const secretACL = "D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;OW)"

// keepOwner gives a new file the access list of the one that it replaces, or
// one for the system, administrators and the owner alone.
func keepOwner(path string, fresh *os.File) error {
	descriptor, err := windows.SecurityDescriptorFromString(secretACL)
	if err != nil {
		return fmt.Errorf("keep others out of the secret: %w", err)
	}
	if _, statErr := os.Stat(path); !errors.Is(statErr, fs.ErrNotExist) {
		descriptor, err = windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
		if err != nil {
			return fmt.Errorf("look at who may read %s: %w", path, err)
		}
	}
	acl, _, err := descriptor.DACL()
	if err != nil {
		return fmt.Errorf("look at who may read %s: %w", path, err)
	}
	err = windows.SetNamedSecurityInfo(fresh.Name(), windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, acl, nil)
	if err != nil {
		return fmt.Errorf("keep others out of the secret: %w", err)
	}
	return nil
}
