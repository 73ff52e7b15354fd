package observe

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
)

// system keeps what a system's log was given.
type system struct{ all []string }

func (s *system) write(level slog.Level, line []byte) error {
	s.all = append(s.all, fmt.Sprintf("%v: %s", level, line))
	return nil
}

func TestSystemLogHasLevelsAndNoTime(t *testing.T) {
	t.Parallel()
	var log system
	logger := NewSystemLogger(log.write, "info", "text")
	logger.Debug("not shown")
	logger.Info("up", "vaults", 3)
	logger.With("vault", "sales").Warn("slow\nlevel=ERROR forged")
	logger.WithGroup("g").Error("run failed", "error", errors.New("down"))
	NewSystemLogger(log.write, "error", "json").Error("gone", "n", 1)
	want := []string{
		"INFO: level=INFO msg=up vaults=3\n",
		"WARN: level=WARN msg=\"slow\\nlevel=ERROR forged\" vault=sales\n",
		"ERROR: level=ERROR msg=\"run failed\" g.error=down\n",
		"ERROR: {\"level\":\"ERROR\",\"msg\":\"gone\",\"n\":1}\n",
	}
	if !slices.Equal(log.all, want) {
		t.Errorf("lines are %q, want %q", log.all, want)
	}
}

func TestSystemLogKeepsNoSecret(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		var log system
		logger := NewSystemLogger(log.write, "debug", format).With("clientSecret", canary)
		logger.Error("request failed: client_secret="+canary+"&x=1", "error", errors.New("Authorization: Bearer "+canary),
			slog.Group("credential", "value", canary))
		if text := strings.Join(log.all, ""); strings.Contains(text, canary) || !strings.Contains(text, "request failed") {
			t.Errorf("%s: the log is %q", format, text)
		}
	}
}

func TestSystemLogOfManyGoroutinesStaysWhole(t *testing.T) {
	t.Parallel()
	var log system
	logger := NewSystemLogger(log.write, "info", "text")
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() { logger.With("n", i).Info("x") })
	}
	wg.Wait()
	slices.Sort(log.all)
	if n := len(slices.Compact(log.all)); n != 50 {
		t.Errorf("%d different lines, want 50", n)
	}
}
