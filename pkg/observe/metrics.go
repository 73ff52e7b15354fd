package observe

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	labelVault     = "vault"
	labelDirectory = "directory"
	labelOutcome   = "outcome"
	labelMode      = "mode"
	labelKind      = "kind"
)

// Metrics are the program's metrics, on a registry of their own. All methods
// may be called from several goroutines.
//
// A thousand vaults are ordinary: what is kept for each vault is a number or a
// few, and the histograms are not by vault.
type Metrics struct {
	registry *prometheus.Registry

	runs          *prometheus.CounterVec
	runDuration   *prometheus.HistogramVec
	lastRun       *prometheus.GaugeVec
	lastSuccess   *prometheus.GaugeVec
	lastDuration  *prometheus.GaugeVec
	changes       *prometheus.CounterVec
	held          *prometheus.GaugeVec
	waiting       *prometheus.GaugeVec
	drift         *prometheus.GaugeVec
	runDirectory  *prometheus.CounterVec
	runStore      *prometheus.CounterVec
	pulls         *prometheus.CounterVec
	pullDuration  *prometheus.HistogramVec
	lastPull      *prometheus.GaugeVec
	pullRequests  *prometheus.CounterVec
	throttled     *prometheus.GaugeVec
	ofVaults      []series
	ofDirectories []series
}

// series are what a vault or a directory that is gone is taken out of.
type series interface {
	DeletePartialMatch(labels prometheus.Labels) int
}

// NewMetrics makes the metrics of a program of this version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.gauge("build_info", "The program's version; always 1.", "version", "goversion").
		WithLabelValues(label(version), runtime.Version()).Set(1)

	m.runs = m.counter("runs_total", "Runs that ended, by vault and outcome (ok, partial, held, failed).", labelVault, labelOutcome)
	m.runDuration = m.histogram("run_duration_seconds", "How long runs took, by mode (initial, delta, full, user).",
		[]float64{0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600}, labelMode)
	m.lastRun = m.gauge("last_run_timestamp_seconds", "When the vault's last run ended, whatever its outcome.", labelVault)
	m.lastSuccess = m.gauge("last_success_timestamp_seconds", "When the vault's last run that did not fail ended.", labelVault)
	m.lastDuration = m.gauge("last_run_duration_seconds", "How long the vault's last run took.", labelVault)
	m.changes = m.counter("changes_total", "Changes made, by vault and kind.", labelVault, labelKind)
	m.held = m.gauge("held_changes", "Changes that a guard holds until they are approved.", labelVault)
	m.waiting = m.gauge("waiting_people", "People for whom something is not done: failed, in conflict or without a licence.", labelVault)
	m.drift = m.gauge("drift", "What hands changed in synchronized fields and groups, as of the last full read of the vault.", labelVault)
	m.runDirectory = m.counter("run_directory_requests_total", "Requests to the directory that runs of the vault caused.", labelVault)
	m.runStore = m.counter("run_store_requests_total", "Requests to the vault's user store.", labelVault)
	m.ofVaults = []series{m.runs, m.lastRun, m.lastSuccess, m.lastDuration, m.changes, m.held, m.waiting, m.drift, m.runDirectory, m.runStore}

	m.pulls = m.counter("pulls_total", "Pulls from the directory that ended, by outcome (ok, failed).", labelDirectory, labelOutcome)
	m.pullDuration = m.histogram("pull_duration_seconds", "How long pulls from the directory took.",
		[]float64{0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600}, labelDirectory)
	m.lastPull = m.gauge("last_pull_success_timestamp_seconds", "When the directory's last good pull ended.", labelDirectory)
	m.pullRequests = m.counter("directory_requests_total", "Requests to the directory made by pulls.", labelDirectory)
	m.throttled = m.gauge("directory_throttled_since_timestamp_seconds", "Since when the directory has asked for patience without a break; 0 when it does not.", labelDirectory)
	m.ofDirectories = []series{m.pulls, m.pullDuration, m.lastPull, m.pullRequests, m.throttled}
	return m
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "vaultsync", Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "vaultsync", Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "vaultsync", Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(v)
	return v
}

// VaultKnown tells the metrics of a vault before its first run in this
// process: its counters begin at zero, so that their first step shows as one,
// and the times of its last run and success before the restart are those given;
// the zero time says that there was none. What has been counted stays.
func (m *Metrics) VaultKnown(name string, lastRun, lastSuccess time.Time) {
	vault := label(name)
	for _, outcome := range []string{outcomeOK, outcomePartial, outcomeHeld, outcomeFailed} {
		m.runs.WithLabelValues(vault, outcome)
	}
	m.runDirectory.WithLabelValues(vault)
	m.runStore.WithLabelValues(vault)
	if !lastRun.IsZero() {
		m.lastRun.WithLabelValues(vault).Set(seconds(lastRun))
	}
	if !lastSuccess.IsZero() {
		m.lastSuccess.WithLabelValues(vault).Set(seconds(lastSuccess))
	}
}

// VaultState sets what is known of a vault before its first run in this
// process: how much is held, waiting and drifted.
func (m *Metrics) VaultState(name string, held, waiting, drift int) {
	vault := label(name)
	m.held.WithLabelValues(vault).Set(float64(held))
	m.waiting.WithLabelValues(vault).Set(float64(waiting))
	m.drift.WithLabelValues(vault).Set(float64(drift))
}

// RunEnded counts a run. What a failed or restricted run did not see keeps its
// value.
func (m *Metrics) RunEnded(f RunFacts) {
	if f.DryRun {
		return
	}
	vault, took := label(f.Vault), lasted(f.Started, f.Finished)
	m.runs.WithLabelValues(vault, label(f.Outcome)).Inc()
	m.runDuration.WithLabelValues(label(f.Mode)).Observe(took)
	m.lastRun.WithLabelValues(vault).Set(seconds(f.Finished))
	m.lastDuration.WithLabelValues(vault).Set(took)
	for kind, n := range f.Changes {
		add(m.changes.WithLabelValues(vault, label(kind)), n)
	}
	add(m.runDirectory.WithLabelValues(vault), f.DirectoryRequests)
	add(m.runStore.WithLabelValues(vault), f.StoreRequests)
	if f.succeeded() {
		m.lastSuccess.WithLabelValues(vault).Set(seconds(f.Finished))
	}
	if !f.whole() {
		return
	}
	m.held.WithLabelValues(vault).Set(float64(f.Held))
	m.waiting.WithLabelValues(vault).Set(float64(f.Waiting))
	if f.Mode == modeInitial || f.Mode == modeFull {
		m.drift.WithLabelValues(vault).Set(float64(f.Drift))
	}
}

// PullEnded counts a pull from a directory.
func (m *Metrics) PullEnded(f PullFacts) {
	directory, outcome := label(f.Directory), outcomeOK
	if f.Failed {
		outcome = outcomeFailed
	} else {
		m.lastPull.WithLabelValues(directory).Set(seconds(f.Finished))
	}
	m.pulls.WithLabelValues(directory, outcome).Inc()
	m.pullDuration.WithLabelValues(directory).Observe(lasted(f.Started, f.Finished))
	add(m.pullRequests.WithLabelValues(directory), f.Requests)
}

// DirectoryThrottled says since when a directory has asked for patience
// without a break; the zero time says that it does not.
func (m *Metrics) DirectoryThrottled(name string, since time.Time) {
	m.throttled.WithLabelValues(label(name)).Set(seconds(since))
}

// ForgetVault removes a vault's metrics. A run that ends afterwards brings
// them back, so call it when the last one has ended.
func (m *Metrics) ForgetVault(name string) {
	for _, s := range m.ofVaults {
		s.DeletePartialMatch(prometheus.Labels{labelVault: label(name)})
	}
}

// ForgetDirectory removes a directory's metrics, likewise.
func (m *Metrics) ForgetDirectory(name string) {
	for _, s := range m.ofDirectories {
		s.DeletePartialMatch(prometheus.Labels{labelDirectory: label(name)})
	}
}

// Handler serves the metrics in Prometheus' formats.
func (m *Metrics) Handler(logger *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            scrapeLog{logger},
		MaxRequestsInFlight: 4,
		Timeout:             answerWithin,
	})
}

// scrapeLog takes the library's complaints.
type scrapeLog struct{ logger *slog.Logger }

func (l scrapeLog) Println(v ...any) {
	l.logger.Warn("the metrics could not be collected", KeyError, strings.TrimSpace(fmt.Sprintln(v...)))
}

// add counts n; a counter never goes back.
func add(c prometheus.Counter, n int) {
	if n > 0 {
		c.Add(float64(n))
	}
}

// label is a text that may be a label value: the library panics on what is not
// UTF-8.
func label(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
