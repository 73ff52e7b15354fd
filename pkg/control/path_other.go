//go:build !linux && !windows

package control

import "fmt"

// shortPath refuses what does not fit into a socket's address: there is no
// shorter name here that is as safe.
func shortPath(path string) (short string, done func(), err error) {
	if len(path) > maxSocketPath {
		return "", nil, fmt.Errorf("control: the path %s has %d bytes, a socket's may have %d: choose a shorter dataDir", path, len(path), maxSocketPath)
	}
	return path, func() {}, nil
}
