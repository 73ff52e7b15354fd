package service

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// events records what an event log would show.
type events struct {
	all []string
	err error
}

func (e *events) add(level string, id uint32, message string) error {
	e.all = append(e.all, fmt.Sprintf("%s %d %s", level, id, message))
	return e.err
}

func (e *events) Info(id uint32, message string) error    { return e.add("info", id, message) }
func (e *events) Warning(id uint32, message string) error { return e.add("warning", id, message) }
func (e *events) Error(id uint32, message string) error   { return e.add("error", id, message) }

func TestLinesKeepTheirLevel(t *testing.T) {
	t.Parallel()
	var log events
	var journal strings.Builder
	for _, write := range []LogWriter{toEvents(&log), toJournal(&journal)} {
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelInfo + 1, slog.LevelWarn, slog.LevelError, slog.LevelError + 4} {
			if err := write(level, []byte(level.String()+"\n")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := []string{"info 1 DEBUG", "info 1 INFO", "info 1 INFO+1", "warning 2 WARN", "error 3 ERROR", "error 3 ERROR+4"}; !slices.Equal(log.all, want) {
		t.Errorf("events are %q, want %q", log.all, want)
	}
	if want := "<7>DEBUG\n<6>INFO\n<6>INFO+1\n<4>WARN\n<3>ERROR\n<3>ERROR+4\n"; journal.String() != want {
		t.Errorf("the journal is %q, want %q", journal.String(), want)
	}
}

func TestAnEventLogThatFailsIsHeardOf(t *testing.T) {
	t.Parallel()
	log := events{err: errors.New("the log is full")}
	if err := toEvents(&log)(slog.LevelWarn, []byte("text\r\n")); !errors.Is(err, log.err) || log.all[0] != "warning 2 text" {
		t.Errorf("error %v, event %q", err, log.all)
	}
}
