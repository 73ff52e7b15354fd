package schedule

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseCron(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"*/15 6-20 * * MON-FRI":           true,
		"  0 2 * * * ":                    true,
		"@daily":                          true,
		"0 0 29 2 *":                      true,
		"0 0 31 2 *":                      false,
		"0 0 30 2 *":                      false,
		"TZ=0":                            false,
		"CRON_TZ=0":                       false,
		"TZ=Europe/Helsinki 0 2 * * *":    false,
		"@every 1s":                       false,
		"@reboot":                         false,
		"":                                false,
		"   ":                             false,
		"* * * *":                         false,
		"* * * * * *":                     false,
		"60 * * * *":                      false,
		"*/0 * * * *":                     false,
		"5-1 * * * *":                     false,
		strings.Repeat("0,", 200) + "0 ":  false,
		"0 0 * * 7-9223372036854775808":   false,
		"\x00 * * * *":                    false,
		"1-59999999999999999999 * * * *":  false,
		"0 2 * JAN-FEB mon":               true,
		"?/5 * ? * ?":                     true,
		"0 0 1 1 * # and then a comment ": false,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			if _, err := ParseCron(text); (err == nil) != ok {
				t.Errorf("ParseCron(%q) = %v, want ok %v", text, err, ok)
			}
		})
	}
}

func TestCronOverDaylightSavingTime(t *testing.T) {
	t.Parallel()
	zone := helsinki(t)
	for _, c := range []struct {
		name, text, from, to string
		want                 []string
	}{
		{
			"a skipped time runs once, right after the gap", "30 3 * * *", "2026-03-28 00:00 +02", "2026-03-31 00:00 +03",
			[]string{"2026-03-28 03:30 +02", "2026-03-29 04:00 +03", "2026-03-30 03:30 +03"},
		},
		{
			"several skipped times run once together", "*/20 3 * * *", "2026-03-29 00:00 +02", "2026-03-30 00:00 +03",
			[]string{"2026-03-29 04:00 +03"},
		},
		{
			"a skipped time and the one after the gap are one", "0,30 3,4 * * *", "2026-03-29 00:00 +02", "2026-03-30 00:00 +03",
			[]string{"2026-03-29 04:00 +03", "2026-03-29 04:30 +03"},
		},
		{
			"a repeated time runs the first time only", "30 3 * * *", "2026-10-24 12:00 +03", "2026-10-27 00:00 +02",
			[]string{"2026-10-25 03:30 +03", "2026-10-26 03:30 +02"},
		},
		{
			"every hour goes on by elapsed time when clocks go back", "0 * * * *", "2026-10-25 02:30 +03", "2026-10-25 05:30 +02",
			[]string{"2026-10-25 03:00 +03", "2026-10-25 03:00 +02", "2026-10-25 04:00 +02", "2026-10-25 05:00 +02"},
		},
		{
			"and when they go forward", "30 * * * *", "2026-03-29 01:45 +02", "2026-03-29 06:00 +03",
			[]string{"2026-03-29 02:30 +02", "2026-03-29 04:30 +03", "2026-03-29 05:30 +03"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cron, err := ParseCron(c.text)
			if err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for now := cron.Next(at(t, c.from), zone); now.Before(at(t, c.to)); now = cron.Next(now, zone) {
				got = append(got, now.In(zone).String())
			}
			for _, w := range c.want {
				want = append(want, at(t, w).In(zone).String())
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q runs at\n%s\nwant\n%s", c.text, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// A whole year of a daily time in zones with odd clocks: one run for each day.
func TestCronRunsOncePerDayInEveryZone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Europe/Helsinki", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu", "America/St_Johns", "UTC"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Skip("this machine has no time zones:", err)
		}
		for _, text := range []string{"0 0 * * *", "30 1 * * *", "45 2 * * *", "15 3 * * *"} {
			t.Run(name+" "+text, func(t *testing.T) {
				t.Parallel()
				cron, err := ParseCron(text)
				if err != nil {
					t.Fatal(err)
				}
				// 2018: the last year in which São Paulo had a midnight that does not exist.
				from := time.Date(2018, 1, 1, 12, 0, 0, 0, zone)
				days := map[string]int{}
				for now := cron.Next(from, zone); now.Before(from.AddDate(1, 0, 0)); now = cron.Next(now, zone) {
					days[now.In(zone).Format(time.DateOnly)]++
				}
				if len(days) != 365 {
					t.Errorf("%d days with a run, want 365", len(days))
				}
				for day, runs := range days {
					if runs != 1 {
						t.Errorf("%d runs on %s", runs, day)
					}
				}
			})
		}
	}
}

func FuzzParseCron(f *testing.F) {
	for _, text := range []string{"*/15 6-20 * * MON-FRI", "TZ=0", "CRON_TZ= ", "@daily", "@every 1ns", "0 0 31 2 *", "?/5 * L * *", "1-5/2,7 * * * *"} {
		f.Add(text)
	}
	zone := helsinki(f)
	from := time.Date(2026, 3, 28, 23, 59, 0, 0, zone)
	f.Fuzz(func(t *testing.T, text string) {
		cron, err := ParseCron(text)
		if err != nil {
			return
		}
		for _, zone := range []*time.Location{zone, time.UTC} {
			now := from
			for range 5 {
				next := cron.Next(now, zone)
				if next.IsZero() {
					break
				}
				if !next.After(now) {
					t.Fatalf("%q: after %v comes %v", text, now, next)
				}
				now = next
			}
		}
	})
}
