package schedule

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// overdueStep is the time between two overdue runs after a restart, as long as
// all of them fit into their interval: short, for people who have left wait for
// these runs, and long enough for the directory not to feel a storm.
const overdueStep = 10 * time.Second

// order is where a name is in hash order.
func order(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:8])
}

// Places gives each name its place in an even spread, in [0, 1): the i-th of n
// in hash order is at i/n. A name that is added moves no other by more than
// 1/n, and the order of the others stays.
func Places(names []string) map[string]float64 {
	sorted := inHashOrder(names)
	places := make(map[string]float64, len(sorted))
	for i, name := range sorted {
		places[name] = float64(i) / float64(len(sorted))
	}
	return places
}

func inHashOrder(names []string) []string {
	sorted := slices.Clone(names)
	slices.SortFunc(sorted, func(a, b string) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a, b))
	})
	return slices.Compact(sorted)
}

// part is the given part of d, to the millisecond.
func part(d time.Duration, of float64) time.Duration {
	return time.Duration(float64(d) * of).Round(time.Millisecond)
}

// overdueWindow is the time over which n overdue runs are spread: 10 s for each
// of them, but never longer than the vault's own interval.
func overdueWindow(interval time.Duration, n int) time.Duration {
	return min(interval, time.Duration(n)*overdueStep)
}
