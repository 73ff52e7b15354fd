package service

import (
	"log/slog"
	"strings"
)

// EventSink takes messages by their severity, as the Windows event log does.
type EventSink interface {
	Info(id uint32, message string) error
	Warning(id uint32, message string) error
	Error(id uint32, message string) error
}

// The ids of events, by which an administrator filters them.
const (
	eventInfo    = 1
	eventWarning = 2
	eventError   = 3
)

// toEvents writes each line as one event of its level.
func toEvents(sink EventSink) LogWriter {
	return func(level slog.Level, line []byte) error {
		message := strings.TrimRight(string(line), "\r\n")
		switch {
		case level >= slog.LevelError:
			return sink.Error(eventError, message)
		case level >= slog.LevelWarn:
			return sink.Warning(eventWarning, message)
		default:
			return sink.Info(eventInfo, message)
		}
	}
}
