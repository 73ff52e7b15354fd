package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// maxCronText is far longer than any sensible cron text; what is longer is not
// handed to the parser.
const maxCronText = 256

// allHours has a bit for each hour of the day.
const allHours = 1<<24 - 1

// Cron is a checked cron text.
type Cron struct{ spec *cron.SpecSchedule }

// ParseCron reads a cron text of five fields (minute, hour, day of month,
// month, day of week) or one of @hourly, @daily, @weekly, @monthly, @yearly. A
// time zone inside the text, @every, and dates that never come (31 February)
// are refused: the first two have keys of their own, and robfig/cron panics on
// "TZ=0" and accepts the last.
func ParseCron(text string) (parsed Cron, err error) {
	defer func() {
		if r := recover(); r != nil {
			parsed, err = Cron{}, fmt.Errorf("%q is not a cron text", text)
		}
	}()
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return Cron{}, errors.New("the cron text is empty: want five fields, as in \"*/15 6-20 * * MON-FRI\"")
	case len(text) > maxCronText:
		return Cron{}, fmt.Errorf("the cron text has %d characters, more than %d", len(text), maxCronText)
	case strings.Contains(text, "="):
		return Cron{}, fmt.Errorf("%q names a time zone: set schedule.timeZone instead", text)
	case strings.HasPrefix(text, "@every"):
		return Cron{}, fmt.Errorf("%q is an interval: set schedule.every instead", text)
	}
	got, err := cron.ParseStandard(text)
	if err != nil {
		return Cron{}, fmt.Errorf("%q is not a cron text: %w", text, err)
	}
	spec, ok := got.(*cron.SpecSchedule)
	if !ok {
		return Cron{}, fmt.Errorf("%q is not a cron text of five fields", text)
	}
	c := Cron{spec: spec}
	// From here, in a leap year, cron's five years ahead hold every date.
	if c.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC).IsZero() {
		return Cron{}, fmt.Errorf("%q names a date that never comes", text)
	}
	return c, nil
}

// Next is the first moment after t that the text names, by the clocks of zone.
//
//	hours of the text   clocks go forward          clocks go back
//	all 24              by elapsed time: nothing is skipped, nothing doubled
//	some                skipped times: once,       repeated times:
//	                    right after the gap        the first time only
func (c Cron) Next(t time.Time, zone *time.Location) time.Time {
	if c.spec.Hour&allHours == allHours {
		return c.spec.Next(t.In(zone))
	}
	// Cron works on times as a clock shows them, which have no gaps and no
	// repetitions; each is turned into its moment afterwards. In the second pass
	// of a repeated hour the next ones shown are past, hence the loop.
	wall := wallTime(t, zone)
	for {
		wall = c.spec.Next(wall)
		if wall.IsZero() {
			return time.Time{}
		}
		if at := instant(wall, zone); at.After(t) {
			return at
		}
	}
}

// interval is the time between the next two moments.
func (c Cron) interval(now time.Time, zone *time.Location) time.Duration {
	first := c.Next(now, zone)
	second := c.Next(first, zone)
	if first.IsZero() || second.IsZero() {
		return 0
	}
	return second.Sub(first)
}
