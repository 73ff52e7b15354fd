//go:build !windows

package service

import (
	"context"
	"fmt"
	"os"
	"syscall"
)

// Run runs work as the service: under systemd the process is told to stop by a
// signal, which the caller turns into the end of ctx.
func Run(ctx context.Context, work Work) (exit int, err error) {
	return Live(ctx, nil, func(Status) {}, work), nil
}

// OpenLog gives systemd's journal when it reads this process's stderr: only
// then are priorities understood. Without it write is nil.
func OpenLog() (write LogWriter, closeLog func() error, err error) {
	if !journalReads(os.Getenv("JOURNAL_STREAM"), os.Stderr) {
		return nil, func() error { return nil }, nil
	}
	return toJournal(os.Stderr), func() error { return nil }, nil
}

// journalReads reports whether stream, which names the journal's end by device
// and inode, is file.
func journalReads(stream string, file *os.File) bool {
	info, err := file.Stat()
	if err != nil {
		return false
	}
	id, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", id.Dev, id.Ino)
}
