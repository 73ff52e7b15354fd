package main

import "golang.org/x/sys/unix"

// forbidCores keeps the process's memory, in which secrets and tokens stand,
// out of core files, and away from debuggers of the same account. The first
// also holds where core_pattern names a program, which no limit stops, and when
// an administrator lifts the limit of a process that runs. A kernel that
// refuses leaves what the machine allows.
func forbidCores() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // see above
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CORE, &limit) == nil {
		limit.Cur = 0
		_ = unix.Setrlimit(unix.RLIMIT_CORE, &limit) // see above
	}
}
