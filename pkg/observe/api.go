package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// The API's patience. Answers are small, and whoever asks is near.
const (
	readWithin   = 10 * time.Second
	answerWithin = 15 * time.Second
	writeWithin  = 30 * time.Second
	idleWithin   = time.Minute
	// stopWithin is how long answers under way may take after the stop.
	stopWithin  = 3 * time.Second
	headerBytes = 16 << 10
	// reasonLines is how many reasons /readyz tells.
	reasonLines = 100
	// statusAtOnce is how many answers of /status are made at the same time.
	statusAtOnce = 4
)

// Source is where the API gets its answers. All fields but MaxSilence must be
// set; the functions are called from several goroutines at once, and must
// return soon after their ctx is done.
type Source struct {
	// Alive is when the program's main loop last gave a sign of life, as
	// time.Now told it.
	Alive func() time.Time
	// MaxSilence is how old that sign may be before the program counts as
	// hanging; 0 is two minutes.
	MaxSilence time.Duration
	// Ready lists why the program is not ready, one line a reason; none when
	// it has started and every vault is well or waits for its time.
	Ready func(ctx context.Context) []string
	// Status is what /status shows, one JSON line an element.
	Status func(ctx context.Context) ([]any, error)
	// Metrics are what /metrics shows.
	Metrics *Metrics
}

const defaultSilence = 2 * time.Minute

// Handler answers for the API:
//
//	/healthz   200 while the main loop gives signs of life, else 503
//	/readyz    200 when ready, else 503 with a line for each reason
//	/metrics   Prometheus
//	/status    JSON lines
//
// GET and HEAD only, and nothing for web pages.
func Handler(source Source, logger *slog.Logger) http.Handler {
	a := &api{source: source, logger: logger, status: make(chan struct{}, statusAtOnce)}
	if a.source.MaxSilence <= 0 {
		a.source.MaxSilence = defaultSilence
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", a.healthz)
	mux.HandleFunc("/readyz", a.readyz)
	mux.HandleFunc("/status", a.serveStatus)
	mux.Handle("/metrics", source.Metrics.Handler(logger))
	return guarded(mux)
}

// Serve answers on l until ctx is done, then lets answers under way end, for a
// few seconds, and returns nil. Answers that take longer are cut off, and the
// ctx of their functions ends. It closes l.
func Serve(ctx context.Context, l net.Listener, source Source, logger *slog.Logger) error {
	// Requests outlive the stop by a moment, and end with it at the latest.
	requests, endRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer endRequests()
	server := &http.Server{
		Handler:           Handler(source, logger),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: readWithin,
		ReadTimeout:       readWithin,
		WriteTimeout:      writeWithin,
		IdleTimeout:       idleWithin,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("the API on %s ended: %w", l.Addr(), errors.Join(err, server.Close()))
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		if err := server.Close(); err != nil {
			logger.Warn("the API did not close cleanly", KeyError, err)
		}
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		logger.Warn("the API's listener failed while it stopped", KeyError, err)
	}
	return nil
}

type api struct {
	source Source
	logger *slog.Logger
	status chan struct{} // places
}

func (a *api) healthz(w http.ResponseWriter, _ *http.Request) {
	last := a.source.Alive()
	switch silence := time.Since(last); {
	case last.IsZero():
		text(w, http.StatusServiceUnavailable, "no sign of life yet")
	case silence > a.source.MaxSilence:
		text(w, http.StatusServiceUnavailable, fmt.Sprintf("no sign of life since %s (%s); restart the service if this lasts",
			last.UTC().Format(time.RFC3339), silence.Round(time.Second)))
	default:
		text(w, http.StatusOK, "ok")
	}
}

func (a *api) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	reasons := a.source.Ready(ctx)
	if err := ctx.Err(); err != nil {
		// What came of a question that was broken off is no answer.
		reasons = append(reasons, "it could not be found out in time: "+err.Error())
	}
	if len(reasons) == 0 {
		text(w, http.StatusOK, "ready")
		return
	}
	if more := len(reasons) - reasonLines; more > 0 {
		reasons = append(reasons[:reasonLines:reasonLines], fmt.Sprintf("… and %d more", more))
	}
	lines := make([]string, len(reasons))
	for i, reason := range reasons {
		lines[i] = oneLine(reason)
	}
	text(w, http.StatusServiceUnavailable, lines...)
}

func (a *api) serveStatus(w http.ResponseWriter, r *http.Request) {
	select {
	case a.status <- struct{}{}:
		defer func() { <-a.status }()
	default:
		w.Header().Set("Retry-After", "1")
		text(w, http.StatusServiceUnavailable, "too many ask for the status at once; ask again in a second")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	elements, err := a.source.Status(ctx)
	var body bytes.Buffer
	if err == nil {
		err = writeLines(&body, elements)
	}
	if err != nil {
		// The cause may hold what is not for everybody on this machine.
		a.logger.Warn("the status could not be told", KeyError, err)
		text(w, http.StatusInternalServerError, "the status could not be told; the log says why")
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	_, _ = body.WriteTo(w) // whoever asked may have gone
}

// writeLines writes one JSON line an element: all or an error, so that a list
// that breaks off is never taken for a whole one.
func writeLines(w io.Writer, elements []any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for i, element := range elements {
		if err := encoder.Encode(element); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	return nil
}

func text(w http.ResponseWriter, code int, lines ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, strings.Join(lines, "\n")+"\n") // whoever asked may have gone
}

// oneLine is a reason that stays on its line and tells no secret.
func oneLine(reason string) string {
	return clean(strings.Join(strings.Fields(reason), " "))
}
