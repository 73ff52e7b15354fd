package config

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "30s": 30 * time.Second, "1h30m": 90 * time.Minute, "30d": 30 * day,
		"1d12h": 36 * time.Hour, "1.5d": 36 * time.Hour, "0d": 0, "-1d": -day, "+1d": day,
		"-1d12h": -36 * time.Hour, "106751d": 106751 * day, "1d0s": day,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "d", "-d", "1", "1w", "1day", "12h1d", "1d1d", "1d-1h", "1d+1h", "1d 2h", " 1d", "1d ", "--1d", "1,5d",
		"106752d", "106751d24h", "99999999999999999999d", "1e3d", "0x1d", "1hd", "١d", ".d", "1..5d",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"15m", "30d", "1d12h", "-1d", "1.5d", "106752d", "", "d", "1d-1h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseDuration(text)
		if err != nil {
			if got != 0 {
				t.Errorf("ParseDuration(%q) = %v beside an error", text, got)
			}
			return
		}
		if text[0] == '-' && got > 0 || text[0] != '-' && got < 0 {
			t.Errorf("ParseDuration(%q) = %v has the wrong sign", text, got)
		}
		if again, err := ParseDuration(got.String()); err != nil || again != got {
			t.Errorf("ParseDuration(%q) = %v, read again %v, %v", text, got, again, err)
		}
		// Whatever Go reads, it reads the same.
		if plain, err := time.ParseDuration(text); err == nil && plain != got {
			t.Errorf("ParseDuration(%q) = %v, Go says %v", text, got, plain)
		}
	})
}
