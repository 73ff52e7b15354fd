package provlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAppend(t *testing.T) {
	t.Parallel()
	t.Run("an entry comes back as it was written", func(t *testing.T) {
		t.Parallel()
		l := openLog(t, t.TempDir(), Options{})
		want := Entry{
			Time: time.Date(2026, 11, 2, 8, 0, 0, 5, time.UTC), Vault: "sales", Run: "01J1", Person: ann, Login: "ann@contoso.com", Group: "Sales",
			Kind: "create", Before: map[string]any{}, After: map[string]any{"enabled": true, "fullName": "Ann\nB <&>", "attributes": map[string]any{"info1": "x"}},
			Why: "member of Sales", Outcome: "failed", Error: "line one\nline two",
		}
		write(t, l, want)
		for got, err := range l.Read(t.Context(), Filter{Vault: "sales"}) {
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, want)
			}
		}
		b, err := os.ReadFile(filesOf(t, l, "sales")[0])
		if err != nil || strings.Count(string(b), "\n") != 1 || !strings.Contains(string(b), `<&>`) {
			t.Errorf("one entry is one line: %q, %v", b, err)
		}
	})
	t.Run("times are UTC and before and after are objects, also when there is nothing in them", func(t *testing.T) {
		t.Parallel()
		l := openLog(t, t.TempDir(), Options{})
		write(t, l, Entry{Time: time.Date(2026, 11, 2, 10, 0, 0, 0, time.FixedZone("", 7200)), Vault: "sales", Kind: "disable"})
		b, err := os.ReadFile(filesOf(t, l, "sales")[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"time":"2026-11-02T08:00:00Z"`, `"before":{}`, `"after":{}`, `"error":""`} {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s is not in %s", want, b)
			}
		}
	})
	t.Run("vaults do not mix", func(t *testing.T) {
		t.Parallel()
		c := newClock()
		l := openLog(t, t.TempDir(), Options{Now: c.Now})
		write(t, l, entry("sales", "a", c.add(time.Second)), entry("hr", "b", c.add(time.Second)), entry("sales", "c", c.add(time.Second)))
		wantLogins(t, l, Filter{Vault: "sales"}, "a c")
		wantLogins(t, l, Filter{Vault: "hr"}, "b")
		wantLogins(t, l, Filter{}, "a b c")
		wantLogins(t, l, Filter{Vault: "nobody"}, "")
	})
	t.Run("an entry without a time is refused and nothing of its batch is written", func(t *testing.T) {
		t.Parallel()
		l := openLog(t, t.TempDir(), Options{})
		bad := entry("sales", "b", time.Time{})
		if err := l.Append([]Entry{entry("sales", "a", newClock().Now()), bad}); err == nil {
			t.Error("accepted")
		}
		wantLogins(t, l, Filter{}, "")
	})
	t.Run("values that are no JSON are refused", func(t *testing.T) {
		t.Parallel()
		l := openLog(t, t.TempDir(), Options{})
		bad := entry("sales", "a", newClock().Now())
		bad.After = map[string]any{"f": func() {}}
		if err := l.Append([]Entry{bad}); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("a page of an error is shortened, an entry too long for a reader is refused", func(t *testing.T) {
		t.Parallel()
		l := openLog(t, t.TempDir(), Options{})
		long := entry("sales", "a", newClock().Now())
		long.Error = strings.Repeat("é", maxText)
		write(t, l, long)
		for e, err := range l.Read(t.Context(), Filter{}) {
			if err != nil || len(e.Error) > maxText+len("…") || !strings.HasSuffix(e.Error, "é…") {
				t.Errorf("%d bytes, %v", len(e.Error), err)
			}
		}
		long.After = map[string]any{"fullName": strings.Repeat("x", maxLine)}
		if err := l.Append([]Entry{long}); err == nil {
			t.Error("an entry that nobody could read was accepted")
		}
		wantLogins(t, l, Filter{}, "a")
	})
	t.Run("a closed log refuses entries and can still be read", func(t *testing.T) {
		t.Parallel()
		l := openLog(t, t.TempDir(), Options{})
		write(t, l, entry("sales", "a", newClock().Now()))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := l.Append([]Entry{entry("sales", "b", newClock().Now())}); !errors.Is(err, ErrClosed) {
			t.Errorf("append: %v", err)
		}
		wantLogins(t, l, Filter{}, "a")
	})
	t.Run("reading leaves no trace", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "log")
		l := openLog(t, dir, Options{})
		wantLogins(t, l, Filter{}, "")
		wantLogins(t, l, Filter{Vault: "sales"}, "")
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("stat: %v", err)
		}
	})
	t.Run("folders and files are their owner's alone", func(t *testing.T) {
		t.Parallel()
		if runtime.GOOS == "windows" {
			t.Skip("Windows has access lists in place of modes")
		}
		l := openLog(t, filepath.Join(t.TempDir(), "log"), Options{})
		write(t, l, entry("sales", "a", newClock().Now()))
		for path, want := range map[string]os.FileMode{l.dir: 0o700, filepath.Join(l.dir, "sales"): 0o700, filesOf(t, l, "sales")[0]: 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
			}
		}
	})
}

func TestVaultNamesStayInTheFolder(t *testing.T) {
	t.Parallel()
	l := openLog(t, t.TempDir(), Options{})
	for _, name := range []string{"", ".", "..", "a/b", "../a", "/a", `a\b`, "a:b", "a\x00b", strings.Repeat("a", 256)} {
		if err := l.Append([]Entry{entry(name, "a", newClock().Now())}); !errors.Is(err, ErrVaultName) {
			t.Errorf("append to %q: %v", name, err)
		}
		if name == "" {
			continue
		}
		if _, err := logins(t, l, Filter{Vault: name}); !errors.Is(err, ErrVaultName) {
			t.Errorf("read %q: %v", name, err)
		}
	}
}

func TestOptionsThatKeepNothingAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{MaxBytes: -1}, {MaxFiles: -1}, {MaxFiles: 1}, {MaxAge: -1}} {
		if _, err := Open(t.TempDir(), o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	if _, err := Open("", Options{}); err == nil {
		t.Error("no folder was accepted")
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	t.Run("a file is begun before one becomes too large, and the oldest go", func(t *testing.T) {
		t.Parallel()
		c := newClock()
		l := openLog(t, t.TempDir(), Options{MaxBytes: 1000, MaxFiles: 3, Now: c.Now})
		var want []string
		for i := range 30 {
			login := fmt.Sprintf("u%02d", i)
			write(t, l, entry("sales", login, c.add(time.Second)))
			want = append(want, login)
		}
		files := filesOf(t, l, "sales")
		if len(files) != 3 {
			t.Fatalf("%d files", len(files))
		}
		for _, f := range files {
			if info, err := os.Stat(f); err != nil || info.Size() > 1000 {
				t.Errorf("%s: %v bytes, %v", f, info.Size(), err)
			}
		}
		got, err := logins(t, l, Filter{Vault: "sales"})
		if err != nil || !strings.HasSuffix(strings.Join(want, " "), got) || len(got) < 20 {
			t.Errorf("the newest entries, in order: %q, %v", got, err)
		}
	})
	t.Run("a batch larger than a file is spread over files at line ends", func(t *testing.T) {
		t.Parallel()
		c := newClock()
		l := openLog(t, t.TempDir(), Options{MaxBytes: 1000, MaxFiles: 100, Now: c.Now})
		var batch []Entry
		var want []string
		for i := range 20 {
			batch = append(batch, entry("sales", fmt.Sprint(i), c.Now()))
			want = append(want, fmt.Sprint(i))
		}
		write(t, l, batch...)
		wantLogins(t, l, Filter{}, strings.Join(want, " "))
		if n := len(filesOf(t, l, "sales")); n < 4 {
			t.Errorf("%d files", n)
		}
	})
	t.Run("an entry larger than a file has a file of its own", func(t *testing.T) {
		t.Parallel()
		l := openLog(t, t.TempDir(), Options{MaxBytes: 10, Now: newClock().Now})
		write(t, l, entry("sales", "a", newClock().Now()), entry("sales", "b", newClock().Now()))
		wantLogins(t, l, Filter{}, "a b")
		if n := len(filesOf(t, l, "sales")); n != 2 {
			t.Errorf("%d files", n)
		}
	})
	t.Run("names go on upwards when the clock is set back", func(t *testing.T) {
		t.Parallel()
		c := newClock()
		l := openLog(t, t.TempDir(), Options{MaxBytes: 10, Now: c.Now})
		for _, login := range []string{"a", "b", "c"} {
			write(t, l, entry("sales", login, c.Now()))
			c.add(-time.Hour)
		}
		wantLogins(t, l, Filter{Vault: "sales"}, "a b c")
		if n := len(filesOf(t, l, "sales")); n != 3 {
			t.Errorf("%d files", n)
		}
	})
	t.Run("what is older than the age goes, also in a quiet vault", func(t *testing.T) {
		t.Parallel()
		c := newClock()
		l := openLog(t, t.TempDir(), Options{MaxFiles: 5, MaxAge: 40 * 24 * time.Hour, Now: c.Now})
		for day := range 100 {
			write(t, l, entry("sales", fmt.Sprint(day), c.add(24*time.Hour)))
		}
		var oldest time.Time
		for e, err := range l.Read(t.Context(), Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			oldest = e.Time
			break
		}
		age := c.Now().Sub(oldest)
		if age < 30*24*time.Hour || age > 55*24*time.Hour {
			t.Errorf("the oldest entry is %s old", age)
		}
	})
	t.Run("another process goes on where one ended", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		for _, login := range []string{"a", "b"} {
			l := openLog(t, dir, Options{})
			write(t, l, entry("sales", login, newClock().Now()))
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		l := openLog(t, dir, Options{})
		wantLogins(t, l, Filter{}, "a b")
		if n := len(filesOf(t, l, "sales")); n != 1 {
			t.Errorf("%d files", n)
		}
	})
	t.Run("a file that somebody removed or cut is noticed", func(t *testing.T) {
		t.Parallel()
		l := openLog(t, t.TempDir(), Options{})
		write(t, l, entry("sales", "a", newClock().Now()))
		if err := os.Remove(filesOf(t, l, "sales")[0]); err != nil {
			t.Fatal(err)
		}
		write(t, l, entry("sales", "b", newClock().Now()))
		wantLogins(t, l, Filter{}, "b")
		if err := os.Truncate(filesOf(t, l, "sales")[0], 10); err != nil {
			t.Fatal(err)
		}
		write(t, l, entry("sales", "c", newClock().Now()))
		if got, err := logins(t, l, Filter{}); got != "c" || err == nil {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("foreign files in the folder are left alone and not read", func(t *testing.T) {
		t.Parallel()
		l := openLog(t, t.TempDir(), Options{MaxBytes: 10, MaxFiles: 2})
		write(t, l, entry("sales", "a", newClock().Now()))
		foreign := filepath.Join(l.dir, "sales", "notes.jsonl")
		if err := os.WriteFile(foreign, []byte("mine\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			write(t, l, entry("sales", "b", newClock().Now()))
		}
		wantLogins(t, l, Filter{}, "b b")
		if _, err := os.Stat(foreign); err != nil {
			t.Error(err)
		}
	})
}

func TestManyWriteWhileFilesRotate(t *testing.T) {
	t.Parallel()
	const writers, each = 8, 60
	c := newClock()
	l := openLog(t, t.TempDir(), Options{MaxBytes: 2000, MaxFiles: 10000, Now: c.Now})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				vault := []string{"sales", "hr"}[i%2]
				if err := l.Append([]Entry{entry(vault, fmt.Sprintf("%d-%d", w, i), c.add(time.Millisecond))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for e, err := range l.Read(t.Context(), Filter{Vault: "sales"}) {
				if err != nil || e.Vault != "sales" {
					t.Errorf("while others write: %+v, %v", e, err)
				}
			}
		}
	})
	wg.Wait()
	close(stop)
	reading.Wait()
	seen := map[string]int{}
	for e, err := range l.Read(t.Context(), Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Login]++
	}
	if len(seen) != writers*each {
		t.Errorf("%d of %d entries", len(seen), writers*each)
	}
	for login, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", login, n)
		}
	}
	if n := len(filesOf(t, l, "sales")); n < 10 {
		t.Errorf("%d files: nothing rotated", n)
	}
}

func TestCrash(t *testing.T) {
	t.Parallel()
	torn := entry("sales", "torn", newClock().Now())
	whole, err := appendLine(nil, &torn)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, tail, before, after string
		skipped                   int
	}{
		{"a torn last line is no line, and spoils none after it", string(whole[:len(whole)/2]), "a", "a b", 1},
		{"a last line that lacks nothing but its end counts", string(whole[:len(whole)-1]), "a torn", "a torn b", 0},
		{"zeros that a file system left are no line", "\x00\x00\x00", "a", "a b", 1},
		{"a long torn line is no line", strings.Repeat("x", maxLine+10), "a", "a b", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := openLog(t, dir, Options{})
			write(t, l, entry("sales", "a", newClock().Now()))
			appendTo(t, filesOf(t, l, "sales")[0], c.tail)
			l = openLog(t, dir, Options{})
			wantLogins(t, l, Filter{}, c.before)
			write(t, l, entry("sales", "b", newClock().Now()))
			got, err := logins(t, l, Filter{})
			var skipped *SkippedError
			if errors.As(err, &skipped) != (c.skipped > 0) || got != c.after {
				t.Fatalf("%q, %v", got, err)
			}
			if skipped != nil && (skipped.Lines != c.skipped || skipped.Line != 2 || skipped.File != filesOf(t, l, "sales")[0] || skipped.Hint() == "") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	t.Run("a write that does not fit leaves nothing behind, and the next one goes on", func(t *testing.T) {
		t.Parallel()
		d := &disk{room: 1 << 20}
		l := openLog(t, t.TempDir(), Options{})
		l.open = d.open
		write(t, l, entry("sales", "a", newClock().Now()))
		for room := range 40 {
			d.room = room
			err := l.Append([]Entry{entry("sales", "b", newClock().Now())})
			if !errors.Is(err, errDiskFull) || !strings.Contains(err.Error(), "vault sales") {
				t.Fatalf("with room for %d bytes: %v", room, err)
			}
			wantLogins(t, l, Filter{}, "a")
		}
		d.room = 1 << 20
		write(t, l, entry("sales", "c", newClock().Now()))
		wantLogins(t, l, Filter{}, "a c")
	})
	t.Run("a new file that cannot be made loses nothing that was there", func(t *testing.T) {
		t.Parallel()
		d := &disk{room: 1 << 20}
		l := openLog(t, t.TempDir(), Options{MaxBytes: 10, MaxFiles: 2})
		l.open = d.open
		write(t, l, entry("sales", "a", newClock().Now()), entry("sales", "b", newClock().Now()))
		d.room = 0
		for range 3 {
			if err := l.Append([]Entry{entry("sales", "c", newClock().Now())}); !errors.Is(err, errDiskFull) {
				t.Fatal(err)
			}
		}
		wantLogins(t, l, Filter{}, "a b")
		d.room = 1 << 20
		write(t, l, entry("sales", "d", newClock().Now()))
		wantLogins(t, l, Filter{}, "b d")
	})
	t.Run("the other vaults of the batch are written", func(t *testing.T) {
		t.Parallel()
		l := openLog(t, t.TempDir(), Options{})
		l.open = func(path string, fresh bool) (file, error) {
			if strings.Contains(path, "hr") {
				return nil, errDiskFull
			}
			return openFile(path, fresh)
		}
		err := l.Append([]Entry{entry("hr", "a", newClock().Now()), entry("sales", "b", newClock().Now())})
		if !errors.Is(err, errDiskFull) || !strings.Contains(err.Error(), "vault hr") {
			t.Errorf("%v", err)
		}
		wantLogins(t, l, Filter{}, "b")
	})
}

func TestEntryKeepsTheContract(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(entry("sales", "ann@contoso.com", newClock().Now()))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"time":"2026-11-02T08:00:00Z","vault":"sales","run":"01J1","person":"a1000000-0000-0000-0000-000000000001","login":"ann@contoso.com","kind":"update",` +
		`"before":{"fullName":"Ann"},"after":{"fullName":"Ann B"},"why":"changed in the directory","outcome":"done","error":""}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestReadStops(t *testing.T) {
	t.Parallel()
	l := openLog(t, t.TempDir(), Options{})
	write(t, l, entry("sales", "a", newClock().Now()), entry("hr", "b", newClock().Now()))
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	for _, f := range []Filter{{}, {Vault: "sales"}} {
		n := 0
		for _, err := range l.Read(ctx, f) {
			if n++; !errors.Is(err, stopped) {
				t.Errorf("%+v: %v", f, err)
			}
		}
		if n != 1 {
			t.Errorf("%+v: %d pairs", f, n)
		}
	}
}
