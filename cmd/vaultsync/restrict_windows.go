package main

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// dataDirACL gives the data directory to SYSTEM, administrators and its owner,
// and to nobody else; what is made inside inherits it.
const dataDirACL = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"

// restrict keeps others out of the data directory, once: a list that inherits
// nothing is ours, or an administrator's who has let the service's account in.
func restrict(dir string) error {
	present, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	if control, _, err := present.Control(); err == nil && control&windows.SE_DACL_PROTECTED != 0 {
		return nil
	}
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
