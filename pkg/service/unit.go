package service

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// StateDir is the data directory that the unit gives the daemon.
const StateDir = "/var/lib/" + Name

// Installation is what install writes into the service's command line.
type Installation struct {
	// Executable and ConfigFile are absolute paths.
	Executable string
	ConfigFile string
	// DataDir is the configuration's dataDir; "" is the platform's place.
	DataDir string
	// Files are what the service's account must be able to read besides: absolute
	// paths of files and folders.
	Files []string
	// Credentials are the secret files that the configuration names, absolute.
	// systemd hands them to the daemon in $CREDENTIALS_DIRECTORY, each under its
	// base name, so that only root can read the originals.
	Credentials []string
	// Account is the Windows account that the service runs as: "" is
	// LocalSystem; `NT SERVICE\vaultsync` or a managed service account needs
	// rights on configuration and data directory. Not for systemd, where the
	// service has a user of its own.
	Account string
}

// Unit is the text of the systemd unit. It refuses what the unit's protection
// would make fail at run time.
func Unit(i Installation) (string, error) {
	var faults []error
	for what, file := range map[string]string{"the program": i.Executable, "the configuration": i.ConfigFile} {
		if !path.IsAbs(file) {
			faults = append(faults, fmt.Errorf("%s: %q is not an absolute path", what, file))
		}
		for _, hidden := range []string{"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"} {
			if strings.HasPrefix(path.Clean(file), hidden) {
				faults = append(faults, fmt.Errorf("%s is at %s, which the service cannot see: move it, for example to /usr/local/bin and /etc/%s", what, file, Name))
			}
		}
	}
	if i.DataDir != "" && path.Clean(i.DataDir) != StateDir {
		faults = append(faults, fmt.Errorf("dataDir is %s, but the service owns %s: leave dataDir out of the configuration", i.DataDir, StateDir))
	}
	var credentials strings.Builder
	var names []string
	for _, file := range i.Credentials {
		name := path.Base(file)
		switch {
		case !path.IsAbs(file) || strings.ContainsAny(file, ":\n"):
			faults = append(faults, fmt.Errorf("the secret's path %q is not absolute or has a colon", file))
		case slices.Contains(names, name):
			faults = append(faults, fmt.Errorf("two secret files are named %s: rename one", name))
		}
		names = append(names, name)
		fmt.Fprintf(&credentials, "LoadCredential=%s:%s\n", escape(name), escape(file))
	}
	for _, file := range append([]string{i.Executable, i.ConfigFile}, i.Credentials...) {
		if strings.ContainsFunc(file, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			faults = append(faults, fmt.Errorf("the path %q has control characters", file))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return "", fmt.Errorf("systemd unit: %w", err)
	}
	command := fmt.Sprintf("%s -c %s", quote(i.Executable), quote(i.ConfigFile))
	return strings.NewReplacer("{{command}}", command+" run --service", "{{reload}}", command+" reload", "{{credentials}}\n", credentials.String()).Replace(unitText), nil
}

// escape keeps systemd from reading a per cent sign as a specifier.
func escape(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// quote writes one word of a command line as systemd reads it.
func quote(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `$$`, `%`, `%%`).Replace(word) + `"`
}

// unitText is the unit. TimeoutStopSec is longer than the longest way to a safe
// point; WatchdogSec several times the scheduler's longest sleep.
const unitText = `[Unit]
Description=Keeps vault users in step with the directory (vaultsync)
Wants=network-online.target
After=network-online.target time-sync.target

[Service]
Type=notify
NotifyAccess=main
ExecStart={{command}}
ExecReload={{reload}}
WatchdogSec=3min
TimeoutStartSec=2min
TimeoutStopSec=90s
Restart=on-failure
RestartSec=10s
# 78: the configuration is wrong. 7: the state is damaged. Starting again cures neither.
RestartPreventExitStatus=78 7

# Its own user, its own folders, and no others.
DynamicUser=yes
StateDirectory=vaultsync
StateDirectoryMode=0700
ConfigurationDirectory=vaultsync
UMask=0077
{{credentials}}
# Nothing but files of its own and connections out.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
DevicePolicy=closed
LimitCORE=0

[Install]
WantedBy=multi-user.target
`
