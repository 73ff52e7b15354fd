package observe

import (
	"bufio"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	began = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	ended = began.Add(90 * time.Second)
)

// scrape is what /metrics shows of the program's own metrics, by series.
func scrape(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	found := map[string]string{}
	for s := bufio.NewScanner(w.Body); s.Scan(); {
		line := s.Text()
		if at := strings.LastIndex(line, " "); !strings.HasPrefix(line, "#") && at > 0 {
			found[strings.TrimPrefix(line[:at], "vaultsync_")] = line[at+1:]
		}
	}
	return found
}

func full(edit func(*RunFacts)) RunFacts {
	f := RunFacts{
		Vault: "sales", Mode: "full", Outcome: "ok", Started: began, Finished: ended,
		Changes: map[string]int{"create": 3, "disable": 1, "update": 0},
		Held:    5, Waiting: 2, Drift: 4, DirectoryRequests: 7, StoreRequests: 9,
	}
	if edit != nil {
		edit(&f)
	}
	return f
}

func TestMetricsSayWhatTheyWereTold(t *testing.T) {
	t.Parallel()
	const none = ""
	for _, c := range []struct {
		name string
		tell func(*Metrics)
		want map[string]string
	}{
		{"a full run shows everything", func(m *Metrics) { m.RunEnded(full(nil)) }, map[string]string{
			`runs_total{outcome="ok",vault="sales"}`:                "1",
			`run_duration_seconds_sum{mode="full"}`:                 "90",
			`run_duration_seconds_bucket{mode="full",le="60"}`:      "0",
			`run_duration_seconds_bucket{mode="full",le="300"}`:     "1",
			`last_run_timestamp_seconds{vault="sales"}`:             "1.77235209e+09",
			`last_success_timestamp_seconds{vault="sales"}`:         "1.77235209e+09",
			`last_run_duration_seconds{vault="sales"}`:              "90",
			`changes_total{kind="create",vault="sales"}`:            "3",
			`changes_total{kind="disable",vault="sales"}`:           "1",
			`held_changes{vault="sales"}`:                           "5",
			`waiting_people{vault="sales"}`:                         "2",
			`drift{vault="sales"}`:                                  "4",
			`run_directory_requests_total{vault="sales"}`:           "7",
			`run_store_requests_total{vault="sales"}`:               "9",
			`directory_throttled_since_timestamp_seconds{x="none"}`: none,
		}},
		{"counters add up", func(m *Metrics) { m.RunEnded(full(nil)); m.RunEnded(full(nil)) }, map[string]string{
			`runs_total{outcome="ok",vault="sales"}`:     "2",
			`changes_total{kind="create",vault="sales"}`: "6",
			`held_changes{vault="sales"}`:                "5",
		}},
		{"a failed run is no success and wipes nothing out", func(m *Metrics) {
			m.RunEnded(full(nil))
			m.RunEnded(RunFacts{Vault: "sales", Mode: "full", Outcome: "failed", Started: ended, Finished: ended.Add(time.Second), DirectoryRequests: 1})
		}, map[string]string{
			`runs_total{outcome="failed",vault="sales"}`:    "1",
			`last_run_timestamp_seconds{vault="sales"}`:     "1.772352091e+09",
			`last_success_timestamp_seconds{vault="sales"}`: "1.77235209e+09",
			`held_changes{vault="sales"}`:                   "5",
			`waiting_people{vault="sales"}`:                 "2",
			`drift{vault="sales"}`:                          "4",
			`run_directory_requests_total{vault="sales"}`:   "8",
		}},
		{"a failed first run leaves the unknown unknown", func(m *Metrics) {
			m.RunEnded(full(func(f *RunFacts) { f.Outcome = "failed" }))
		}, map[string]string{
			`held_changes{vault="sales"}`:                   none,
			`drift{vault="sales"}`:                          none,
			`last_success_timestamp_seconds{vault="sales"}`: none,
		}},
		{"an outcome that is not known is no success", func(m *Metrics) {
			m.RunEnded(full(func(f *RunFacts) { f.Outcome = "" }))
		}, map[string]string{
			`runs_total{outcome="",vault="sales"}`:          "1",
			`last_success_timestamp_seconds{vault="sales"}`: none,
			`held_changes{vault="sales"}`:                   none,
		}},
		{"a held run is a success with something held", func(m *Metrics) {
			m.RunEnded(full(func(f *RunFacts) { f.Outcome = "held" }))
		}, map[string]string{
			`last_success_timestamp_seconds{vault="sales"}`: "1.77235209e+09",
			`held_changes{vault="sales"}`:                   "5",
		}},
		{"a delta run says nothing about drift", func(m *Metrics) {
			m.RunEnded(full(nil))
			m.RunEnded(full(func(f *RunFacts) { f.Mode, f.Drift, f.Held = "delta", 0, 0 }))
		}, map[string]string{
			`drift{vault="sales"}`:        "4",
			`held_changes{vault="sales"}`: "0",
		}},
		{"a run for one user says nothing about the vault", func(m *Metrics) {
			m.RunEnded(full(nil))
			m.RunEnded(full(func(f *RunFacts) { f.Mode, f.Held, f.Waiting = "user", 0, 1 }))
		}, map[string]string{
			`held_changes{vault="sales"}`:                "5",
			`waiting_people{vault="sales"}`:              "2",
			`changes_total{kind="create",vault="sales"}`: "6",
		}},
		{"a restricted run says nothing about the vault", func(m *Metrics) {
			m.RunEnded(full(nil))
			m.RunEnded(full(func(f *RunFacts) { f.Restricted, f.Held = true, 0 }))
		}, map[string]string{`held_changes{vault="sales"}`: "5"}},
		{"a dry run is not counted", func(m *Metrics) {
			m.RunEnded(full(func(f *RunFacts) { f.DryRun = true }))
		}, map[string]string{
			`runs_total{outcome="ok",vault="sales"}`:     none,
			`changes_total{kind="create",vault="sales"}`: none,
		}},
		{"negative numbers and a clock set back do no harm", func(m *Metrics) {
			m.RunEnded(full(func(f *RunFacts) {
				f.Started, f.Finished = ended, began
				f.Changes = map[string]int{"create": -1}
				f.StoreRequests = -1
			}))
		}, map[string]string{
			`last_run_duration_seconds{vault="sales"}`:   "0",
			`changes_total{kind="create",vault="sales"}`: "0",
			`run_store_requests_total{vault="sales"}`:    "0",
		}},
		{"a name that is not UTF-8 is shown and harms nobody", func(m *Metrics) {
			m.RunEnded(full(func(f *RunFacts) { f.Vault, f.Changes = "s\xff", map[string]int{"\xff": 1} }))
		}, map[string]string{"runs_total{outcome=\"ok\",vault=\"s\uFFFD\"}": "1"}},
		{"a vault known from before the restart has its times", func(m *Metrics) {
			m.VaultKnown("sales", ended, began)
			m.VaultState("sales", 5, 2, 4)
		}, map[string]string{
			`runs_total{outcome="failed",vault="sales"}`:    "0",
			`last_run_timestamp_seconds{vault="sales"}`:     "1.77235209e+09",
			`last_success_timestamp_seconds{vault="sales"}`: "1.772352e+09",
			`held_changes{vault="sales"}`:                   "5",
			`waiting_people{vault="sales"}`:                 "2",
			`drift{vault="sales"}`:                          "4",
		}},
		{"a vault that never ran has no times", func(m *Metrics) {
			m.VaultKnown("sales", time.Time{}, time.Time{})
		}, map[string]string{
			`last_run_timestamp_seconds{vault="sales"}`: none,
			`runs_total{outcome="ok",vault="sales"}`:    "0",
		}},
		{"pulls by outcome", func(m *Metrics) {
			m.PullEnded(PullFacts{Directory: "contoso", Started: began, Finished: ended, Requests: 3})
			m.PullEnded(PullFacts{Directory: "contoso", Failed: true, Started: ended, Finished: ended.Add(time.Second), Requests: 1})
		}, map[string]string{
			`pulls_total{directory="contoso",outcome="ok"}`:            "1",
			`pulls_total{directory="contoso",outcome="failed"}`:        "1",
			`pull_duration_seconds_sum{directory="contoso"}`:           "91",
			`last_pull_success_timestamp_seconds{directory="contoso"}`: "1.77235209e+09",
			`directory_requests_total{directory="contoso"}`:            "4",
		}},
		{"throttled since, and no longer", func(m *Metrics) {
			m.DirectoryThrottled("contoso", began)
			m.DirectoryThrottled("fabrikam", began)
			m.DirectoryThrottled("fabrikam", time.Time{})
		}, map[string]string{
			`directory_throttled_since_timestamp_seconds{directory="contoso"}`:  "1.772352e+09",
			`directory_throttled_since_timestamp_seconds{directory="fabrikam"}`: "0",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := NewMetrics("1.2.3")
			c.tell(m)
			got := scrape(t, m)
			for series, want := range c.want {
				if got[series] != want {
					t.Errorf("%s is %q, want %q", series, got[series], want)
				}
			}
		})
	}
}

func TestTheProcessIsThere(t *testing.T) {
	t.Parallel()
	got := scrape(t, NewMetrics("1.2.3\xff"))
	if got["go_goroutines"] == "" {
		t.Error("no metrics of the Go runtime")
	}
	for series, value := range got {
		if strings.HasPrefix(series, "build_info{") && strings.Contains(series, "1.2.3\uFFFD") && value == "1" {
			return
		}
	}
	t.Errorf("no build info in %v", got)
}

func TestForgettingLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	m := NewMetrics("1.2.3")
	for _, vault := range []string{"sales", "support"} {
		m.VaultKnown(vault, began, began)
		m.VaultState(vault, 1, 1, 1)
		m.RunEnded(full(func(f *RunFacts) { f.Vault = vault }))
	}
	for _, directory := range []string{"contoso", "fabrikam"} {
		m.PullEnded(PullFacts{Directory: directory, Started: began, Finished: ended, Requests: 1})
		m.DirectoryThrottled(directory, began)
	}
	before := scrape(t, m)
	m.ForgetVault("sales")
	m.ForgetDirectory("contoso")
	after := scrape(t, m)
	kept := 0
	for series := range after {
		if strings.Contains(series, `"sales"`) || strings.Contains(series, `"contoso"`) {
			t.Errorf("%s is still there", series)
		}
	}
	for series := range before {
		if strings.Contains(series, `"support"`) || strings.Contains(series, `"fabrikam"`) {
			kept++
			if after[series] != before[series] {
				t.Errorf("%s was %s and is %q", series, before[series], after[series])
			}
		}
	}
	if kept == 0 {
		t.Error("nothing to keep")
	}
}

func TestMetricsTakeManyTellersAtOnce(t *testing.T) {
	t.Parallel()
	m := NewMetrics("1.2.3")
	var tellers sync.WaitGroup
	for range 8 {
		tellers.Go(func() {
			for range 50 {
				m.RunEnded(full(nil))
				m.PullEnded(PullFacts{Directory: "contoso", Started: began, Finished: ended})
				m.ForgetVault("gone")
			}
		})
		tellers.Go(func() { scrape(t, m) })
	}
	tellers.Wait()
	if got := scrape(t, m)[`runs_total{outcome="ok",vault="sales"}`]; got != "400" {
		t.Errorf("got %s runs, want 400", got)
	}
}
