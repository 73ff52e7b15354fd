package provlog

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Filter says which entries are wanted; a zero field asks for nothing.
type Filter struct {
	Vault string
	// User is an object id, a login name or a mail address, whole, compared as
	// identity.Fold does. Mail addresses and earlier login names are found in
	// the entries that wrote them.
	User    string
	Since   time.Time
	Run     string
	Outcome string // done | failed | held
}

// SkippedError means that some lines could not be read; all others were.
type SkippedError struct {
	// Lines is how many there are, File and Line where the first is.
	Lines int
	File  string
	Line  int
}

// Error says how many lines, and where the first one is.
func (e *SkippedError) Error() string {
	return fmt.Sprintf("%d lines of the provisioning log cannot be read, the first is line %d of %s", e.Lines, e.Line, e.File)
}

// Hint says what to make of it.
func (e *SkippedError) Hint() string {
	return "a line is cut short when the machine stops or the disk is full while it is written; all other entries are complete"
}

// Read yields the entries that f asks for, in the order of time, over the
// files of the vault or of all vaults. Entries of one vault come in the order
// in which they were written. The pair with an error is the last one:
// *SkippedError when lines had to be left out, another error when reading
// could not go on. Memory does not grow with the log.
func (l *Log) Read(ctx context.Context, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r := &reading{wanted: newMatcher(f)}
		vaults, err := l.vaultsOf(f.Vault)
		if err != nil {
			yield(Entry{}, fmt.Errorf("read the provisioning log: %w", err))
			return
		}
		all := make([]iter.Seq2[Entry, error], 0, len(vaults))
		for _, vault := range vaults {
			all = append(all, r.series(ctx, filepath.Join(l.dir, vault)))
		}
		for e, err := range merge(all) {
			if err != nil {
				yield(Entry{}, fmt.Errorf("read the provisioning log: %w", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if r.skipped.Lines > 0 {
			yield(Entry{}, &r.skipped)
		}
	}
}

// vaultsOf are the vaults to read: the one asked for, or all that have a log.
func (l *Log) vaultsOf(vault string) ([]string, error) {
	if vault != "" {
		return []string{vault}, checkVault(vault)
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, e.Name())
		}
	}
	return all, nil
}

// reading is one Read under way.
type reading struct {
	wanted  matcher
	skipped SkippedError
}

// series yields the entries of one vault.
func (r *reading) series(ctx context.Context, dir string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		files, err := segments(dir)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for i, file := range files {
			// Every entry of a file is older than the file after it.
			if i+1 < len(files) && files[i+1].start.Before(r.wanted.Since) {
				continue
			}
			if !r.file(ctx, file.path, yield) {
				return
			}
		}
	}
}

// file yields the entries of one file, and says whether to go on.
func (r *reading) file(ctx context.Context, path string, yield func(Entry, error) bool) bool {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true // removed since it was listed: too old
	}
	if err != nil {
		yield(Entry{}, err)
		return false
	}
	defer func() { _ = f.Close() }()
	for in := newLines(f); ; {
		if ctx.Err() != nil {
			yield(Entry{}, context.Cause(ctx))
			return false
		}
		e, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return true
		case errors.Is(err, errNoEntry):
			if r.skipped.Lines == 0 {
				r.skipped.File, r.skipped.Line = path, in.line
			}
			r.skipped.Lines++
		case err != nil:
			yield(Entry{}, fmt.Errorf("%s: %w", path, err))
			return false
		case r.wanted.matches(e):
			if !yield(e, nil) {
				return false
			}
		}
	}
}

// matcher is a filter made ready.
type matcher struct {
	Filter
	id   identity.ObjectID
	user string // folded
}

func newMatcher(f Filter) matcher {
	m := matcher{Filter: f, user: identity.Fold(f.User)}
	if id, err := identity.ParseObjectID(m.user); err == nil {
		m.id = id
	}
	return m
}

func (m matcher) matches(e Entry) bool {
	return !e.Time.Before(m.Since) &&
		(m.Run == "" || m.Run == e.Run) &&
		(m.Outcome == "" || m.Outcome == e.Outcome) &&
		(m.User == "" || m.isAbout(e))
}

func (m matcher) isAbout(e Entry) bool {
	if !m.id.IsZero() {
		return e.Person == m.id
	}
	if m.user == "" {
		return false
	}
	names := []any{e.Login, e.Before["loginName"], e.After["loginName"], e.Before["email"], e.After["email"]}
	for _, name := range names {
		if s, ok := name.(string); ok && identity.Fold(s) == m.user {
			return true
		}
	}
	return false
}

// merge yields the entries of all streams in the order of time, equal ones in
// the order of the streams. It ends with the first error.
func merge(streams []iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	if len(streams) == 1 {
		return streams[0]
	}
	return func(yield func(Entry, error) bool) {
		heads := make(mergeHeap, 0, len(streams))
		for i, s := range streams {
			next, stop := iter.Pull2(s)
			defer stop()
			h := &head{next: next, place: i}
			if h.advance() {
				heads = append(heads, h)
			}
		}
		heap.Init(&heads)
		for len(heads) > 0 {
			h := heads[0]
			if !yield(h.entry, h.err) || h.err != nil {
				return
			}
			if h.advance() {
				heap.Fix(&heads, 0)
			} else {
				heap.Pop(&heads)
			}
		}
	}
}

// head is the next entry of one stream.
type head struct {
	next  func() (Entry, error, bool)
	place int
	entry Entry
	err   error
}

func (h *head) advance() bool {
	var ok bool
	h.entry, h.err, ok = h.next()
	return ok
}

// mergeHeap has the earliest head first; an error, which has no time, comes
// before all.
type mergeHeap []*head

func (m mergeHeap) Len() int { return len(m) }

func (m mergeHeap) Less(i, j int) bool {
	return cmp.Or(m[i].entry.Time.Compare(m[j].entry.Time), cmp.Compare(m[i].place, m[j].place)) < 0
}

func (m mergeHeap) Swap(i, j int) { m[i], m[j] = m[j], m[i] }

// Push is part of heap.Interface; nothing is pushed.
func (m *mergeHeap) Push(x any) {
	if h, ok := x.(*head); ok {
		*m = append(*m, h)
	}
}

// Pop is part of heap.Interface.
func (m *mergeHeap) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}
