package service

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
)

// events records what an event log would show.
type events struct {
	mu  sync.Mutex
	all []string
	err error
}

func (e *events) add(level string, id uint32, message string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, fmt.Sprintf("%s %d %s", level, id, message))
	return e.err
}

func (e *events) Info(id uint32, message string) error    { return e.add("info", id, message) }
func (e *events) Warning(id uint32, message string) error { return e.add("warning", id, message) }
func (e *events) Error(id uint32, message string) error   { return e.add("error", id, message) }

func TestEventsHaveTheirLevel(t *testing.T) {
	t.Parallel()
	var log events
	logger := slog.New(NewEventHandler(&log, slog.LevelInfo))
	logger.Debug("not shown")
	logger.Info("up", "vaults", 3)
	logger.With("vault", "sales").Warn("slow")
	logger.WithGroup("g").Error("run failed", "error", errors.New("down"))
	want := []string{
		`info 1 msg=up vaults=3`,
		`warning 2 msg=slow vault=sales`,
		`error 3 msg="run failed" g.error=down`,
	}
	if !slices.Equal(log.all, want) {
		t.Errorf("events are %q, want %q", log.all, want)
	}
}

func TestEventsOfManyGoroutinesStayWhole(t *testing.T) {
	t.Parallel()
	var log events
	logger := slog.New(NewEventHandler(&log, slog.LevelInfo))
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() { logger.With("n", i).Info("x") })
	}
	wg.Wait()
	slices.Sort(log.all)
	if len(slices.Compact(log.all)) != 50 {
		t.Errorf("%d different events, want 50", len(slices.Compact(log.all)))
	}
}

func TestEventWriterIsHonest(t *testing.T) {
	t.Parallel()
	var log events
	w := EventWriter{Sink: &log, Level: slog.LevelWarn}
	if n, err := w.Write([]byte("text\r\n")); n != 6 || err != nil || log.all[0] != "warning 2 text" {
		t.Errorf("Write = %d, %v; event %q", n, err, log.all)
	}
	log.err = errors.New("the log is full")
	if n, err := w.Write([]byte("text")); n != 0 || !errors.Is(err, log.err) {
		t.Errorf("Write = %d, %v; want 0 and the log's error", n, err)
	}
}
