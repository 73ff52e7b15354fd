package provlog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFilter(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := openLog(t, t.TempDir(), Options{MaxBytes: 300, Now: c.Now}) // a file for each
	start := c.Now()
	hour := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
	for i, e := range []Entry{
		{Vault: "sales", Run: "r1", Person: ann, Login: "Ann@Contoso.com", Outcome: "done"},
		{Vault: "hr", Run: "r2", Person: bob, Login: "bob@contoso.com", Outcome: "failed"},
		{Vault: "sales", Run: "r3", Person: ann, Login: "ann.b@contoso.com", Outcome: "held", Before: map[string]any{"loginName": "ann@contoso.com"}},
		{Vault: "hr", Run: "r4", Person: ann, Login: "ann.b@contoso.com", Outcome: "done", After: map[string]any{"email": "Mail@contoso.com"}},
		{Vault: "sales", Run: "r4", Login: "", Outcome: "done", Group: "Sales"},
	} {
		e.Time, e.Kind = hour(i), "update"
		write(t, l, e)
		c.add(time.Hour)
	}
	for _, test := range []struct {
		name   string
		filter Filter
		runs   string
	}{
		{"no filter gives everything in the order of time, over all vaults", Filter{}, "r1 r2 r3 r4 r4"},
		{"one vault", Filter{Vault: "hr"}, "r2 r4"},
		{"a person by id, in either case, under every name", Filter{User: strings.ToUpper(ann.String())}, "r1 r3 r4"},
		{"a login name in any case, the earlier one too", Filter{User: "ANN@CONTOSO.COM"}, "r1 r3"},
		{"a mail address that was written", Filter{User: "mail@contoso.com"}, "r4"},
		{"a part of a name is nobody", Filter{User: "ann"}, ""},
		{"a name of spaces is nobody, not everybody", Filter{User: "  "}, ""},
		{"since a time, that time included", Filter{Since: hour(2)}, "r3 r4 r4"},
		{"since a time between two entries", Filter{Since: hour(2).Add(1)}, "r4 r4"},
		{"since the future", Filter{Since: hour(99)}, ""},
		{"one run", Filter{Run: "r4"}, "r4 r4"},
		{"an outcome", Filter{Outcome: "held"}, "r3"},
		{"all together", Filter{Vault: "sales", User: ann.String(), Since: hour(1), Run: "r3", Outcome: "held"}, "r3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var runs []string
			for e, err := range l.Read(t.Context(), test.filter) {
				if err != nil {
					t.Fatal(err)
				}
				runs = append(runs, e.Run)
			}
			if got := strings.Join(runs, " "); got != test.runs {
				t.Errorf("got %q, want %q", got, test.runs)
			}
		})
	}
	t.Run("a reader that has enough ends the reading", func(t *testing.T) {
		t.Parallel()
		for e, err := range l.Read(t.Context(), Filter{}) {
			if err != nil || e.Run != "r1" {
				t.Fatalf("%+v, %v", e, err)
			}
			break
		}
	})
}

func TestUnreadableLinesAreCountedAndTheOthersRead(t *testing.T) {
	t.Parallel()
	l := openLog(t, t.TempDir(), Options{})
	write(t, l, entry("sales", "a", newClock().Now()))
	for _, bad := range []string{"{", "[]", "null", "{}", `"x"`, `{"time":"never"}`, `{"time":"2026-11-02T08:00:00Z","vault":"sales","kind":7}`, strings.Repeat("y", maxLine+1), "\x00\xff", "", "   "} {
		appendTo(t, filesOf(t, l, "sales")[0], bad+"\n")
		write(t, l, entry("sales", "b", newClock().Now()))
	}
	got, err := logins(t, l, Filter{})
	var skipped *SkippedError
	if !errors.As(err, &skipped) || skipped.Lines != 9 || skipped.Line != 2 {
		t.Errorf("%v", err)
	}
	if got != "a"+strings.Repeat(" b", 11) {
		t.Errorf("%q", got)
	}
	t.Run("a line of a later version is read", func(t *testing.T) {
		e, err := decode([]byte(`{"time":"2026-11-02T08:00:00Z","vault":"sales","kind":"create","login":"a","future":[1]}`))
		if err != nil || e.Login != "a" {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

func TestAFileThatCannotBeReadIsAnErrorNotAnEnd(t *testing.T) {
	t.Parallel()
	l := openLog(t, t.TempDir(), Options{})
	write(t, l, entry("sales", "a", newClock().Now()), entry("hr", "b", newClock().Now()))
	// A folder in the place of the log's folder of a vault, and a file in the
	// place of another.
	if err := os.WriteFile(filepath.Join(l.dir, "it"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := logins(t, l, Filter{Vault: "it"}); err == nil {
		t.Error("a file in the place of the folder reads as empty")
	}
	if err := l.Append([]Entry{entry("it", "c", newClock().Now())}); err == nil {
		t.Error("a file in the place of the folder takes entries")
	}
	wantLogins(t, l, Filter{}, "b a")
	in := newLines(io.MultiReader(strings.NewReader("{\n"), failing{}))
	if _, err := in.next(); !errors.Is(err, errNoEntry) {
		t.Errorf("first line: %v", err)
	}
	if _, err := in.next(); !errors.Is(err, errBroken) {
		t.Errorf("second line: %v", err)
	}
}

var errBroken = errors.New("input/output error")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

func FuzzLines(f *testing.F) {
	one := entry("sales", "ann@contoso.com", time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC))
	whole, err := appendLine(nil, &one)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(append([]byte("\n\n{\n"), whole...))
	f.Add([]byte("\x00\xff\n[]\nnull\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(in *lines) (good, bad int) {
			for {
				e, err := in.next()
				switch {
				case errors.Is(err, io.EOF):
					return good, bad
				case errors.Is(err, errNoEntry):
					bad++
				case err != nil:
					t.Fatalf("%v", err)
				default:
					good++
					line, err := appendLine(nil, &e)
					if err != nil {
						t.Fatalf("an entry that was read cannot be written: %v", err)
					}
					if again, err := decode(line); err != nil || !again.Time.Equal(e.Time) || again.Login != e.Login {
						t.Fatalf("%+v became %+v, %v", e, again, err)
					}
				}
				if good+bad > len(b)+1 {
					t.Fatal("more lines than there are bytes")
				}
			}
		}
		good, _ := read(newLines(bytes.NewReader(b)))
		// Whatever was there, an entry written after it is read.
		after := append(append(bytes.Clone(b), '\n'), whole...)
		if got, _ := read(newLines(bytes.NewReader(after))); got < good+1 {
			t.Fatalf("%d entries, and with one more %d", good, got)
		}
	})
}
