package service

import (
	"fmt"
	"io"
	"log/slog"
)

// LogWriter writes one line of a level to a log that keeps time and level of
// each line itself.
type LogWriter func(level slog.Level, line []byte) error

// toJournal writes lines as systemd's journal reads them from a service's
// stderr: with their priority before them (sd-daemon(3)).
func toJournal(w io.Writer) LogWriter {
	return func(level slog.Level, line []byte) error {
		priority := 7
		switch {
		case level >= slog.LevelError:
			priority = 3
		case level >= slog.LevelWarn:
			priority = 4
		case level >= slog.LevelInfo:
			priority = 6
		}
		_, err := w.Write(fmt.Appendf(nil, "<%d>%s", priority, line))
		return err
	}
}
