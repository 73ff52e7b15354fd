// Package memory says how much memory the process takes beyond what it needs.
package memory

import "runtime/debug"

// percent is how much garbage may pile up, in percent of what is in use, before
// it is collected; Go's own choice is 100. A first import of a million people
// has some 80 MB in use, most of it pages of the transaction being written, so
// that a third of the peak is saved for a few percent more of processor time.
const percent = 50

// Bound keeps the process small, unless the administrator has said otherwise in
// the environment (GOGC, GOMEMLIMIT).
func Bound(getenv func(string) string) {
	if getenv("GOGC") == "" && getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(percent)
	}
}
