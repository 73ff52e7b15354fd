package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
)

// helsinki goes forward on 2026-03-29 at 03:00 and back on 2026-10-25 at 04:00.
func helsinki(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Helsinki")
	if err != nil {
		t.Skip("this machine has no time zones:", err)
	}
	return zone
}

// at reads a time with its offset: "2026-03-29 04:00 +03".
func at(t testing.TB, text string) time.Time {
	t.Helper()
	when, err := time.Parse("2006-01-02 15:04 -07", text)
	if err != nil {
		t.Fatal(err)
	}
	return when.UTC()
}

func timing(t testing.TB, s config.Schedule) Timing {
	t.Helper()
	if s.ReconcileEvery == 0 {
		s.ReconcileEvery = 24 * time.Hour
	}
	if s.TimeZone == nil {
		s.TimeZone = time.UTC
	}
	got, err := NewTiming(s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFirst(t *testing.T) {
	t.Parallel()
	zone := helsinki(t)
	every := 15 * time.Minute
	for _, c := range []struct {
		name  string
		spec  config.Schedule
		start string
		place float64
		want  string
	}{
		{"auto waits for its place in every", config.Schedule{Every: every, First: config.FirstImport{Auto: true}}, "2026-01-10 09:00 +02", 1.0 / 3, "2026-01-10 09:05 +02"},
		{"auto at the first place begins at start-up", config.Schedule{Every: every, First: config.FirstImport{Auto: true}}, "2026-01-10 09:00 +02", 0, "2026-01-10 09:00 +02"},
		{"auto with cron begins when cron says", config.Schedule{Cron: "0 20 * * *", First: config.FirstImport{Auto: true}}, "2026-01-10 09:00 +02", 0.9, "2026-01-10 20:00 +02"},
		{"+10m is counted from start-up", config.Schedule{Every: every, First: config.FirstImport{After: 10 * time.Minute}}, "2026-01-10 09:00 +02", 0.5, "2026-01-10 09:10 +02"},
		{"02:30 from 09:00 is tomorrow's", config.Schedule{Every: every, First: config.FirstImport{Clock: "02:30"}}, "2026-01-10 09:00 +02", 0, "2026-01-11 02:30 +02"},
		{"02:30 from 02:00 is today's", config.Schedule{Every: every, First: config.FirstImport{Clock: "02:30"}}, "2026-01-10 02:00 +02", 0, "2026-01-10 02:30 +02"},
		{"02:30 at 02:30 is now", config.Schedule{Every: every, First: config.FirstImport{Clock: "02:30"}}, "2026-01-10 02:30 +02", 0, "2026-01-10 02:30 +02"},
		{"a time that the clocks skip is the moment after the gap", config.Schedule{Every: every, First: config.FirstImport{Clock: "03:30"}}, "2026-03-29 01:00 +02", 0, "2026-03-29 04:00 +03"},
		{"after the gap the skipped time is tomorrow's", config.Schedule{Every: every, First: config.FirstImport{Clock: "03:30"}}, "2026-03-29 04:01 +03", 0, "2026-03-30 03:30 +03"},
		{"a time that comes twice is the first", config.Schedule{Every: every, First: config.FirstImport{Clock: "03:30"}}, "2026-10-25 01:00 +03", 0, "2026-10-25 03:30 +03"},
		{"between its two moments it is tomorrow's", config.Schedule{Every: every, First: config.FirstImport{Clock: "03:30"}}, "2026-10-25 03:45 +03", 0, "2026-10-26 03:30 +02"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.spec.TimeZone = zone
			if got, want := timing(t, c.spec).First(at(t, c.start), c.place), at(t, c.want); !got.Equal(want) {
				t.Errorf("First(%s) = %s, want %s", c.start, got.In(zone), want.In(zone))
			}
		})
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	every := config.Schedule{Every: 15 * time.Minute, First: config.FirstImport{Auto: true}}
	hourly := config.Schedule{Cron: "0 * * * *", First: config.FirstImport{Auto: true}}
	for _, c := range []struct {
		name     string
		spec     config.Schedule
		now      string
		last     string
		failures int
		want     string
	}{
		{"the next run is an interval after the last start", every, "2026-01-10 09:01 +00", "2026-01-10 09:00 +00", 0, "2026-01-10 09:15 +00"},
		{"missed runs are made up once", every, "2026-01-10 12:00 +00", "2026-01-10 09:00 +00", 0, "2026-01-10 09:15 +00"},
		{"a last run in the future counts as one now", every, "2026-01-10 09:00 +00", "2027-01-10 09:00 +00", 0, "2026-01-10 09:15 +00"},
		{"cron's next time follows the last start", hourly, "2026-01-10 09:01 +00", "2026-01-10 09:00 +00", 0, "2026-01-10 10:00 +00"},
		{"missed cron times are made up once", hourly, "2026-01-10 12:30 +00", "2026-01-10 09:00 +00", 0, "2026-01-10 10:00 +00"},
		{"a cron run in the future counts as one now", hourly, "2026-01-10 09:30 +00", "2027-01-10 09:00 +00", 0, "2026-01-10 10:00 +00"},
		{"a failure waits a minute", every, "2026-01-10 09:00 +00", "2026-01-10 09:00 +00", 1, "2026-01-10 09:01 +00"},
		{"the fourth in a row eight minutes", every, "2026-01-10 09:00 +00", "2026-01-10 09:00 +00", 4, "2026-01-10 09:08 +00"},
		{"never more than an hour for quarter-hourly vaults", every, "2026-01-10 09:00 +00", "2026-01-10 09:00 +00", 1000, "2026-01-10 10:00 +00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			now, last := at(t, c.now), at(t, c.last)
			past := Past{LastStart: last, Imported: last, Failures: c.failures}
			if got, want := timing(t, c.spec).Due(now, now, last, past, 0), at(t, c.want); !got.Equal(want) {
				t.Errorf("due %s, want %s", got, want)
			}
		})
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	start := at(t, "2026-01-10 09:00 +00")
	auto := config.FirstImport{Auto: true}
	for _, c := range []struct {
		name  string
		first config.FirstImport
		past  Past
		place float64
		n     int
		want  time.Duration // after start
	}{
		{"a vault that is not due waits for its time", auto, Past{Imported: start.Add(-time.Hour), LastStart: start.Add(-5 * time.Minute)}, 0, 0, 10 * time.Minute},
		{"an overdue one runs at its place among the overdue", auto, Past{Imported: start.Add(-time.Hour), LastStart: start.Add(-time.Hour)}, 0.5, 20, 100 * time.Second},
		{"the overdue never wait longer than their interval", auto, Past{Imported: start.Add(-time.Hour), LastStart: start.Add(-time.Hour)}, 0.5, 100_000, 7*time.Minute + 30*time.Second},
		{"+10m holds an imported vault back", config.FirstImport{After: 10 * time.Minute}, Past{Imported: start.Add(-time.Hour), LastStart: start.Add(-time.Hour)}, 0, 1, 10 * time.Minute},
		{"+10m does not hurry one that is due later", config.FirstImport{After: 10 * time.Minute}, Past{Imported: start.Add(-time.Hour), LastStart: start.Add(-time.Minute)}, 0, 1, 14 * time.Minute},
		{"HH:MM does not hold an imported vault back", config.FirstImport{Clock: "02:30"}, Past{Imported: start.Add(-48 * time.Hour), LastStart: start.Add(-time.Hour)}, 0, 1, 0},
		{"HH:MM holds a vault back that was never imported", config.FirstImport{Clock: "02:30"}, Past{}, 0, 1, 17*time.Hour + 30*time.Minute},
		{"a restart ends the back-off", auto, Past{Imported: start.Add(-time.Hour), LastStart: start.Add(-time.Second), Failures: 9}, 0, 1, 0},
		{"a last run in the future is due after one interval", auto, Past{Imported: start, LastStart: start.Add(1000 * time.Hour)}, 0, 0, 15 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := timing(t, config.Schedule{Every: 15 * time.Minute, First: c.first}).Restart(start, c.past, c.place, c.n)
			if want := start.Add(c.want); !got.Equal(want) {
				t.Errorf("due %v after start, want %v", got.Sub(start), c.want)
			}
		})
	}
}

func TestFullDue(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-01-10 09:00 +00")
	for _, c := range []struct {
		name string
		last time.Time
		want bool
	}{
		{"a vault never read in full", time.Time{}, true},
		{"an hour before its time", now.Add(-23 * time.Hour), false},
		{"at its time", now.Add(-24 * time.Hour), true},
		{"a full read in the future proves nothing", now.Add(time.Hour), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := timing(t, config.Schedule{Every: time.Hour}).FullDue(now, Past{LastFull: c.last}); got != c.want {
				t.Errorf("FullDue = %v, want %v", got, c.want)
			}
		})
	}
}

func TestNewTimingRefuses(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]config.Schedule{
		"an interval below a minute":   {Every: 59 * time.Second, ReconcileEvery: time.Hour},
		"no interval":                  {ReconcileEvery: time.Hour},
		"both interval and cron":       {Every: time.Hour, Cron: "0 * * * *", ReconcileEvery: time.Hour},
		"a bad cron text":              {Cron: "TZ=0", ReconcileEvery: time.Hour},
		"no reconciliation":            {Every: time.Hour},
		"a time of day that is none":   {Every: time.Hour, ReconcileEvery: time.Hour, First: config.FirstImport{Clock: "24:00"}},
		"a time of day in short form":  {Every: time.Hour, ReconcileEvery: time.Hour, First: config.FirstImport{Clock: "2:30"}},
		"a first import in the past":   {Every: time.Hour, ReconcileEvery: time.Hour, First: config.FirstImport{After: -time.Hour}},
		"a time of day with a newline": {Every: time.Hour, ReconcileEvery: time.Hour, First: config.FirstImport{Clock: "02:3\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := NewTiming(s); err == nil {
				t.Errorf("NewTiming(%+v) accepts it", s)
			}
		})
	}
}

func TestPlacesAreEvenAndStay(t *testing.T) {
	t.Parallel()
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprintf("vault-%03d", i)
	}
	before := Places(names)
	taken := slices.Sorted(func(yield func(float64) bool) {
		for _, place := range before {
			if !yield(place) {
				return
			}
		}
	})
	for i, place := range taken {
		if want := float64(i) / 200; place != want {
			t.Fatalf("place %d is %v, want %v: the spread is not even", i, place, want)
		}
	}
	after := Places(append(names, "one-more"))
	for _, name := range names {
		if moved := after[name] - before[name]; moved > 1.0/200 || moved < -1.0/200 {
			t.Errorf("%s moved by %v because another vault was added", name, moved)
		}
	}
	slices.Reverse(names)
	if again := Places(names); again["vault-007"] != before["vault-007"] {
		t.Error("the order in which vaults are configured moves their places")
	}
	if got := Places(nil); len(got) != 0 {
		t.Errorf("Places(nil) = %v", got)
	}
}

func ExamplePlaces() {
	every := 15 * time.Minute
	for name, place := range Places([]string{"sales"}) {
		fmt.Println(name, part(every, place))
	}
	// Output: sales 0s
}
