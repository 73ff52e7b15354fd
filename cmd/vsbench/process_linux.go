package main

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// memoryNow is the anonymous and the whole resident memory now, in bytes.
func memoryNow() (anonymous, resident int64) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	return statusField(text, "RssAnon:"), statusField(text, "VmRSS:")
}

func statusField(text []byte, name string) int64 {
	_, rest, found := bytes.Cut(text, []byte("\n"+name))
	if !found {
		return 0
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	kilobytes, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(line, []byte("kB")))), 10, 64)
	if err != nil {
		return 0
	}
	return kilobytes << 10
}

// cpuTime is what this process has used so far, in user and system together.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
