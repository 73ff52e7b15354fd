// Package observe is what the outside sees of a running program: its log, its
// metrics, and the loopback API with health, metrics and status. It knows
// nothing of directories and vaults: it is told plain values and asks through
// the functions it is given.
package observe
