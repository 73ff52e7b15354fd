// Package service is the life of the daemon under Windows' service manager and
// under systemd: starting, telling that it is up and alive, stopping at a safe
// point, and being installed and removed. It has nothing of the domain in it.
//
// That the program runs as a service is said by an explicit argument (`run
// --service`), which install writes into the command line; it is not guessed.
package service

// Name is the name of the service and of the systemd unit.
const Name = "vaultsync"
