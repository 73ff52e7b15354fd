package schedule

import (
	"fmt"
	"time"
)

// parseClock reads a time of day, "15:04".
func parseClock(text string) (hour, minute int, err error) {
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, 0, fmt.Errorf("%q is not a time of day: want HH:MM, as in \"02:30\"", text)
	}
	return t.Hour(), t.Minute(), nil
}

// nextClock is the first moment at or after from at which a clock in zone shows
// hour:minute. On a day on which the clocks skip that time it is the moment
// after the gap; on a day on which they show it twice it is the first.
func nextClock(from time.Time, hour, minute int, zone *time.Location) time.Time {
	day := from.In(zone)
	for ahead := -1; ; ahead++ {
		wall := time.Date(day.Year(), day.Month(), day.Day()+ahead, hour, minute, 0, 0, time.UTC)
		if at := instant(wall, zone); !at.Before(from) {
			return at
		}
	}
}

// wallTime is what a clock in zone shows at t, written as if it were UTC, so
// that one can calculate with it without meeting a gap.
func wallTime(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instant is the first moment at which a clock in zone shows wall, or, when the
// clocks skip it, the moment after the gap. time.Date leaves both open.
func instant(wall time.Time, zone *time.Location) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), zone)
	begin, end := t.ZoneBounds()
	switch shown := wallTime(t, zone); {
	case shown.After(wall): // in the gap, read by the offset before it
		return begin
	case shown.Before(wall): // in the gap, read by the offset after it
		return end
	}
	if begin.IsZero() {
		return t
	}
	// Shown twice: the same time by the offset of the period before.
	_, now := t.Zone()
	_, before := begin.Add(-time.Second).In(zone).Zone()
	if first := t.Add(time.Duration(now-before) * time.Second); first.Before(begin) && wallTime(first, zone).Equal(wall) {
		return first
	}
	return t
}
