package service

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
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

// EventWriter writes each Write as one event of its level.
type EventWriter struct {
	Sink  EventSink
	Level slog.Level
}

// Write reports all of p as written, or the sink's error and nothing.
func (w EventWriter) Write(p []byte) (int, error) {
	message := strings.TrimRight(string(p), "\r\n")
	var err error
	switch {
	case w.Level >= slog.LevelError:
		err = w.Sink.Error(eventError, message)
	case w.Level >= slog.LevelWarn:
		err = w.Sink.Warning(eventWarning, message)
	default:
		err = w.Sink.Info(eventInfo, message)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// NewEventHandler is a slog.Handler that writes each record as one event of its
// own level; the event log has its own clock, so records have no time.
func NewEventHandler(sink EventSink, level slog.Leveler) slog.Handler {
	text := &eventText{}
	return &eventHandler{sink: sink, text: text, inner: slog.NewTextHandler(&text.buffer, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		},
	})}
}

// eventText is where the inner handler formats one record at a time.
type eventText struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

type eventHandler struct {
	sink  EventSink
	text  *eventText
	inner slog.Handler
}

// Enabled implements slog.Handler.
func (h *eventHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.inner.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *eventHandler) Handle(ctx context.Context, record slog.Record) error {
	h.text.mu.Lock()
	defer h.text.mu.Unlock()
	h.text.buffer.Reset()
	if err := h.inner.Handle(ctx, record); err != nil {
		return err
	}
	_, err := EventWriter{Sink: h.sink, Level: record.Level}.Write(h.text.buffer.Bytes())
	return err
}

// WithAttrs implements slog.Handler.
func (h *eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &eventHandler{sink: h.sink, text: h.text, inner: h.inner.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *eventHandler) WithGroup(name string) slog.Handler {
	return &eventHandler{sink: h.sink, text: h.text, inner: h.inner.WithGroup(name)}
}
