package config

import (
	"os"
	"path/filepath"
	"runtime"
)

// DefaultPath is the server file to read when none is named: $VAULTSYNC_CONFIG,
// else ./vaultsync.yaml when there is one, else the platform's place
// (/etc/vaultsync/vaultsync.yaml, %ProgramData%\vaultsync\vaultsync.yaml).
func DefaultPath() string {
	if named := os.Getenv("VAULTSYNC_CONFIG"); named != "" {
		return named
	}
	const file = "vaultsync.yaml"
	if info, err := os.Stat(file); err == nil && !info.IsDir() {
		return file
	}
	return filepath.Join(PlatformDir(), file)
}

// PlatformDir is the platform's folder for the configuration, which the service
// reads.
func PlatformDir() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(programData(), "vaultsync")
	}
	return "/etc/vaultsync"
}

func defaultDataDir() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(programData(), "vaultsync")
	}
	return "/var/lib/vaultsync"
}

// programData is the folder for the data of services on Windows, also for a
// process that was started without an environment.
func programData() string {
	if dir := os.Getenv("ProgramData"); filepath.IsAbs(dir) {
		return dir
	}
	return `C:\ProgramData`
}
