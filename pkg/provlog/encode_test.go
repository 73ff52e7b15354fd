package provlog

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// byEncodingJSON is the line that the standard encoder writes.
func byEncodingJSON(t *testing.T, e Entry) []byte {
	t.Helper()
	e.Time, e.Why, e.Error = e.Time.UTC(), cut(e.Why), cut(e.Error)
	if e.Before == nil {
		e.Before = map[string]any{}
	}
	if e.After == nil {
		e.After = map[string]any{}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func checkLine(t *testing.T, e Entry) {
	t.Helper()
	const before = "the line before\n"
	got, err := appendLine([]byte(before), &e)
	if err != nil {
		t.Fatal(err)
	}
	if want := before + string(byEncodingJSON(t, e)); string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestALineIsWhatEncodingJSONWrites(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 2, 8, 0, 0, 123_000_000, time.FixedZone("", 3600))
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for name, e := range map[string]Entry{
		"an entry with nothing but a time":     {Time: at},
		"every field":                          {Time: at, Vault: "sales", Run: "01J1", Person: ann, Login: "ann@contoso.com", Group: "Sales", Kind: "update", Before: map[string]any{"fullName": "Ann", "enabled": true}, After: map[string]any{"enabled": false, "attributes": map[string]string{"b": "2", "a": "1"}}, Why: "because", Outcome: "failed", Error: "it did"},
		"every byte, and what is no UTF-8":     {Time: at, Login: string(every), Why: "a\xffb\xc3"},
		"characters of two, three, four bytes": {Time: at, Login: "Zoë 日本 \U0001f512 \ufffd \u2028\u2029\u202a <&>"},
		"names that need quoting":              {Time: at, Before: map[string]any{"a\"b": "c\\d", "": ""}},
		"more values than usual":               {Time: at, After: map[string]any{"j": "", "i": "", "h": "", "g": "", "f": "", "e": "", "d": "", "c": "", "b": "", "a": ""}},
		"values of other kinds":                {Time: at, After: map[string]any{"n": 1.5, "o": map[string]any{"p": []any{nil, "<"}}, "q": nil, "r": map[string]string(nil), "s": map[string]string{}}},
		"texts that are cut":                   {Time: at, Why: strings.Repeat("é", maxText), Error: strings.Repeat("\n", maxText+1)},
		"a time without a fraction":            {Time: at.Truncate(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkLine(t, e)
		})
	}
}

func TestAnEntryThatNoLineCanHoldIsRefused(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	for name, e := range map[string]Entry{
		"no time":                    {Login: "ann"},
		"a year of five digits":      {Time: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"a year before the first":    {Time: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)},
		"more than a reader accepts": {Time: at, Login: strings.Repeat("a", maxLine)},
		"a value that is no JSON":    {Time: at, Before: map[string]any{"f": func() {}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if line, err := appendLine(nil, &e); err == nil {
				t.Errorf("written as %d bytes", len(line))
			}
		})
	}
}

func FuzzLineIsWhatEncodingJSONWrites(f *testing.F) {
	f.Add("ann@contoso.com", "fullName", "Ann \"B\" \u2028", "why\x00\xff", int64(1_762_070_400_123), true)
	f.Add("", "", "<>&\\/\b\f\n\r\t\x7f", "\xed\xa0\x80", int64(-1), false)
	f.Fuzz(func(t *testing.T, login, name, value, why string, milliseconds int64, enabled bool) {
		at := time.UnixMilli(milliseconds)
		if year := at.UTC().Year(); year < 0 || year > 9999 || at.IsZero() {
			return
		}
		if len(login)+len(name)+len(value)+len(why) > maxLine/64 {
			return
		}
		checkLine(t, Entry{
			Time: at, Vault: value, Run: why, Person: identity.ObjectID{1}, Login: login, Group: name, Kind: value,
			Before: map[string]any{name: value, "enabled": enabled}, After: map[string]any{"attributes": map[string]string{name: value, value: name}},
			Why: why, Outcome: login, Error: value,
		})
	})
}
