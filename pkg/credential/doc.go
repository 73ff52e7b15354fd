// Package credential reads what a connection to a service is made with: secrets
// from files and environment variables, trust roots, the address of a proxy.
// What is read is never part of an error. It knows no service and no protocol.
package credential
