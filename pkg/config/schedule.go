package config

import (
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // Windows has no time zone database of its own

	"github.com/robfig/cron/v3"
)

// minEvery is the shortest pause between two runs of a vault.
const minEvery = time.Minute

func defaultSchedule() Schedule {
	return Schedule{
		First:          FirstImport{Auto: true},
		Every:          15 * time.Minute,
		TimeZone:       time.Local,
		ReconcileEvery: 24 * time.Hour,
	}
}

func readSchedule(s *Schedule) reader {
	return func(v value) {
		v.object(
			may("startTimeOfFirstImport", "auto", into(&s.First, firstImport())),
			may("every", "15m", into(&s.Every, span(minEvery))),
			may("cron", "every: 15m", into(&s.Cron, cronText())),
			may("timeZone", "the machine's", into(&s.TimeZone, timeZone())),
			may("reconcileEvery", "24h", into(&s.ReconcileEvery, span(minEvery))),
		)
		if !v.doc.has(join(v.key, "cron")) {
			return
		}
		s.Every = 0
		if v.doc.has(join(v.key, "every")) {
			v.doc.to.add(v.doc.at(join(v.key, "cron")), "stands beside every", "keep one of the two")
		}
	}
}

// firstImport is auto, a wait from start-up or a time of day.
func firstImport() format[FirstImport] {
	clock := regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
	return format[FirstImport]{textual, func(s string) (FirstImport, *fault) {
		const fix = `write auto, a wait like "+10m", or a time of day like "02:30"`
		wait, isWait := strings.CutPrefix(s, "+")
		switch {
		case s == "auto":
			return FirstImport{Auto: true}, nil
		case clock.MatchString(s):
			return FirstImport{Clock: s}, nil
		case !isWait:
			return FirstImport{}, &fault{quote(s) + " is not a time of first import", fix}
		}
		d, err := ParseDuration(wait)
		if err != nil || d < 0 || strings.HasPrefix(wait, "+") {
			return FirstImport{}, &fault{quote(s) + " is not a wait", fix}
		}
		return FirstImport{After: d}, nil
	}}
}

// timeZone is a name of the IANA time zone database.
func timeZone() format[*time.Location] {
	return format[*time.Location]{textual, func(s string) (*time.Location, *fault) {
		const fix = "write a name like Europe/Helsinki or UTC, or leave the key out for the machine's"
		if s == "" || s == "Local" {
			return nil, &fault{quote(s) + " is not a time zone", fix}
		}
		zone, err := time.LoadLocation(s)
		if err != nil {
			return nil, &fault{quote(s) + " is not a time zone", fix}
		}
		return zone, nil
	}}
}

// cronText is a cron line of five fields or a descriptor. It is checked before
// the cron package sees it, which panics on a time zone prefix.
func cronText() format[string] {
	return format[string]{textual, func(s string) (string, *fault) {
		const fix = `write five fields: minute, hour, day, month, weekday, like "*/15 6-20 * * MON-FRI"`
		wait, isEvery := strings.CutPrefix(s, "@every ")
		switch {
		case len(s) > 256 || !printable(s) || strings.TrimSpace(s) != s:
			return "", &fault{quote(s) + " is not a cron line", fix}
		case strings.Contains(s, "="):
			return "", &fault{quote(s) + " sets a time zone", "remove it and write timeZone: instead"}
		case isEvery:
			if d, err := time.ParseDuration(wait); err != nil || d < minEvery {
				return "", &fault{quote(s) + " is not a pause of at least 1m", "write every: 15m instead of cron:"}
			}
		case strings.HasPrefix(s, "@"):
		case len(strings.Fields(s)) != 5:
			return "", &fault{quote(s) + " does not have five fields", fix}
		}
		parsed, err := cron.ParseStandard(s)
		if err != nil {
			return "", &fault{quote(s) + " is not a cron line", fix}
		}
		// Whether a date ever comes does not depend on the year from which it
		// is sought, but for a 29 February: this one is followed by one.
		if parsed.Next(time.Date(2027, time.January, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
			return "", &fault{quote(s) + " names a date that never comes", "choose a day that the month has"}
		}
		return s, nil
	}}
}
