package main

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// dataDirACL gives the data directory to SYSTEM, administrators and its owner,
// and to nobody else; what is made inside inherits it.
const dataDirACL = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"

// restrict keeps others out of the data directory.
func restrict(dir string) error {
	descriptor, err := windows.SecurityDescriptorFromString(dataDirACL)
	if err != nil {
		return fmt.Errorf("keep others out of the data directory: %w", err)
	}
	acl, _, err := descriptor.DACL()
	if err != nil {
		return fmt.Errorf("keep others out of the data directory: %w", err)
	}
	err = windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, acl, nil)
	if err != nil {
		return fmt.Errorf("keep others out of the data directory: %w", err)
	}
	return nil
}
