// Package memory says how much memory the process takes beyond what it needs.
package memory

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Go's own choice is to collect garbage when it is as much as what is in use. A
// first import of a million people has some 80 MB in use, most of it pages of
// the transaction being written, so that a third of the peak is saved for a few
// percent more of processor time. While little is in use, half of it is next to
// nothing: to collect that often would be a quarter of the time of an import of
// a hundred thousand people.
const (
	percent = 50       // of what is in use may pile up as garbage before it is collected,
	least   = 32 << 20 // and so many bytes in any case
	most    = 400      // percent: Go begins with 4 MB in use
)

// Bound keeps the process small, unless the administrator has said otherwise in
// the environment (GOGC, GOMEMLIMIT).
func Bound(getenv func(string) string) {
	if getenv("GOGC") == "" && getenv("GOMEMLIMIT") == "" {
		follow()
	}
}

// follow sets the bound by what is in use, now and after each collection.
func follow() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(allowed(live[0].Value.Uint64()))
	runtime.AddCleanup(new(collected), func(struct{}) { follow() }, struct{}{})
}

// collected is what the next collection finds that nobody needs. It has a
// pointer because Go puts small values without one together, and then keeps all
// of them while one is in use.
type collected struct{ _ *byte }

// allowed is how much garbage may pile up, in percent of the bytes in use.
func allowed(live uint64) int {
	return int(min(max(percent, 100*least/max(live, 1)), most)) //nolint:gosec // at most 400
}
