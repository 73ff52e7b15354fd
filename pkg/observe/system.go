package observe

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
)

// NewSystemLogger is NewLogger for a log that keeps time and level of each
// record itself, as the Windows event log and systemd's journal do: write gets
// one line a record, without its time, and the level. It is not called
// concurrently, and line is good until it returns.
func NewSystemLogger(write func(level slog.Level, line []byte) error, level, format string) *slog.Logger {
	line := &systemLine{write: write}
	return slog.New(systemHandler{line: line, inner: newHandler(&line.text, level, format, true)})
}

// systemLine is where one record at a time is formatted.
type systemLine struct {
	mu    sync.Mutex
	text  bytes.Buffer
	write func(level slog.Level, line []byte) error
}

type systemHandler struct {
	line  *systemLine
	inner slog.Handler
}

// Enabled implements slog.Handler.
func (h systemHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.inner.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h systemHandler) Handle(ctx context.Context, record slog.Record) error {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	h.line.text.Reset()
	if err := h.inner.Handle(ctx, record); err != nil {
		return err
	}
	return h.line.write(record.Level, h.line.text.Bytes())
}

// WithAttrs implements slog.Handler.
func (h systemHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return systemHandler{line: h.line, inner: h.inner.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h systemHandler) WithGroup(name string) slog.Handler {
	return systemHandler{line: h.line, inner: h.inner.WithGroup(name)}
}
