package boltfile

// syncDir does nothing: Windows has no handle of a folder to flush, and NTFS
// journals the rename.
func syncDir(string) error { return nil }
