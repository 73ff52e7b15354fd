package provlog

import (
	"encoding/csv"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"
)

func TestFormatText(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 2, 10, 0, 0, 9, time.FixedZone("", 7200))
	for _, c := range []struct {
		name  string
		entry Entry
		want  string
	}{
		{
			"an update says what was and what is",
			Entry{Time: at, Vault: "sales", Login: "ann@contoso.com", Kind: "update", Before: map[string]any{"fullName": "Ann", "email": "a@contoso.com"}, After: map[string]any{"fullName": "Ann B", "attributes": map[string]any{"info1": ""}}, Why: "changed in the directory", Outcome: "done"},
			`2026-11-02T08:00:00Z sales done update ann@contoso.com attributes.info1: "", email: "a@contoso.com" → nothing, fullName: "Ann" → "Ann B" (changed in the directory)`,
		},
		{
			"a membership names the group",
			Entry{Time: at, Vault: "sales", Login: "ann@contoso.com", Kind: "memberAdd", Group: "Sales", Before: map[string]any{"member": "false"}, After: map[string]any{"member": "true"}, Outcome: "done"},
			"2026-11-02T08:00:00Z sales done memberAdd ann@contoso.com group Sales",
		},
		{
			"a failure ends with its cause, and a person without a login name has an id",
			Entry{Time: at, Vault: "sales", Person: ann, Kind: "disable", Before: map[string]any{"enabled": true}, After: map[string]any{"enabled": false}, Outcome: "failed", Error: "the store says no"},
			"2026-11-02T08:00:00Z sales failed disable a1000000-0000-0000-0000-000000000001 enabled: true → false: the store says no",
		},
		{
			"what a terminal would obey is taken out, and a line stays a line",
			Entry{Time: at, Vault: "sales", Login: "\x1b[2Jann\u202e\u0007\u009b", Kind: "create", After: map[string]any{"fullName": "A\nB\tC\u2028D\r\u0085"}, Outcome: "failed", Error: "x\n\x1b]0;title\x07"},
			`2026-11-02T08:00:00Z sales failed create [2Jann fullName: "A B C D  ": x ]0;title`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := FormatText(c.entry); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("Ann\x1b[31m\n\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		plain := Plain(s)
		if strings.ContainsAny(plain, "\n\r\t\x1b\x00\x07\u009b\u202e\u2066\u2028") {
			t.Errorf("%q became %q", s, plain)
		}
		if Plain(plain) != plain {
			t.Errorf("%q is not stable", plain)
		}
	})
}

func seq(end error, entries ...Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
		if end != nil {
			yield(Entry{}, end)
		}
	}
}

func TestWriteCSV(t *testing.T) {
	t.Parallel()
	e := entry("sales", "=cmd|'/c calc'!A1", time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC))
	e.Why, e.Error, e.Group = "+1", "-2", "@x"
	second := entry("sales", "ann@contoso.com", e.Time)
	second.Why, second.Error, second.Group, second.Run, second.Before = "\tx", "\rx", "＝1", "'t\nx,\"", nil
	skipped := &SkippedError{Lines: 2}
	var b strings.Builder
	if err := WriteCSV(&b, seq(skipped, e, second)); !errors.Is(err, skipped) {
		t.Errorf("the lines that could not be read are not told: %v", err)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.ReplaceAll(b.String(), "\r", "⏎"))).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%v, %v", rows, err)
	}
	want := [][]string{
		{"time", "vault", "run", "person", "login", "group", "kind", "before", "after", "why", "outcome", "error"},
		{"2026-11-02T08:00:00Z", "sales", "01J1", ann.String(), "'=cmd|'/c calc'!A1", "'@x", "update", `{"fullName":"Ann"}`, `{"fullName":"Ann B"}`, "'+1", "done", "'-2"},
		{"2026-11-02T08:00:00Z", "sales", "'t\nx,\"", ann.String(), "ann@contoso.com", "'＝1", "update", `{}`, `{"fullName":"Ann B"}`, "'\tx", "done", "'⏎x"},
	}
	for i := range want {
		if strings.Join(rows[i], "|") != strings.Join(want[i], "|") {
			t.Errorf("row %d\ngot  %q\nwant %q", i, rows[i], want[i])
		}
	}
	t.Run("an output that fails is an error", func(t *testing.T) {
		t.Parallel()
		if err := WriteCSV(brokenWriter{}, seq(nil, e)); !errors.Is(err, errBroken) {
			t.Errorf("%v", err)
		}
	})
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }
