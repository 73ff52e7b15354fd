package wholefile

// SyncDir does nothing: Windows has no handle of a folder to flush, and NTFS
// journals new names.
func SyncDir(string) error { return nil }
