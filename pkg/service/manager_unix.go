//go:build !windows

package service

// NewManager gives the machine's service manager: systemd.
func NewManager() Manager { return newSystemd() }
