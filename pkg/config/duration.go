package config

import (
	"errors"
	"math"
	"strings"
	"time"
)

// errDuration is what ParseDuration answers for anything that it cannot read.
var errDuration = errors.New("not a duration: want a number with a unit, like 30s, 15m, 24h, 7d or 1d12h")

// ParseDuration reads a duration as Go writes it, with d for days of 24 hours
// put first: 15m, 1h30m, 30d, 1d12h, -1d.
func ParseDuration(s string) (time.Duration, error) {
	before, rest, found := strings.Cut(s, "d")
	if !found {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, errDuration
		}
		return d, nil
	}
	sign, number := "", before
	if number != "" && (number[0] == '-' || number[0] == '+') {
		sign, number = number[:1], number[1:]
	}
	if strings.Trim(number, "0123456789.") != "" {
		return 0, errDuration
	}
	days, err := time.ParseDuration(number + "h")
	if err != nil || days > math.MaxInt64/24 {
		return 0, errDuration
	}
	total := days * 24
	if rest != "" {
		if rest[0] == '-' || rest[0] == '+' {
			return 0, errDuration
		}
		within, err := time.ParseDuration(rest)
		if err != nil || within > math.MaxInt64-total {
			return 0, errDuration
		}
		total += within
	}
	if sign == "-" {
		total = -total
	}
	return total, nil
}
