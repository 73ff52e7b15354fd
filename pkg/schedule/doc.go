// Package schedule decides when a vault is synchronized. Its arithmetic
// (timing.go, cron.go, clock.go, spread.go) is pure and takes now; its one
// Runner keeps the vaults' runs apart: at most so many at once, one run a vault
// at a time, back-off after failures, nothing lost or doubled over restarts,
// clock jumps and daylight saving time. It knows nothing of what a run does.
package schedule
