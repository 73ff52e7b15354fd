//go:build !windows

package service

import (
	"context"
	"os/exec"
)

// NewManager gives the machine's service manager: systemd.
func NewManager() Manager { return newSystemd() }

func newSystemd() systemd {
	return systemd{
		unit: "/etc/systemd/system/" + Name + ".service", booted: "/run/systemd/system",
		systemctl: func(ctx context.Context, args ...string) (string, error) {
			out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
			return string(out), err
		},
	}
}
