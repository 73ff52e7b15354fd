package provlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// file is what a series needs of the file it writes.
type file interface {
	io.WriteCloser
	Sync() error
}

// opener opens a file to append to; fresh makes it, and fails when it is there.
type opener func(path string, fresh bool) (file, error)

func openFile(path string, fresh bool) (file, error) {
	flags := os.O_WRONLY | os.O_APPEND
	if fresh {
		flags |= os.O_CREATE | os.O_EXCL
	}
	return os.OpenFile(path, flags, 0o600)
}

// A file is named for the time at which it was begun. A clock that was set
// back does not disturb the order: a name is always later than the one before.
const (
	nameLayout = "20060102T150405.000000Z"
	nameSuffix = ".jsonl"
	nameStep   = time.Microsecond
)

// segment is one file of a series.
type segment struct {
	path  string
	start time.Time
}

// segments lists the files of a vault's folder, oldest first. A folder that is
// not there has none.
func segments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []segment
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), nameSuffix)
		if !ok || e.IsDir() {
			continue
		}
		if start, err := time.Parse(nameLayout, stem); err == nil {
			all = append(all, segment{path: filepath.Join(dir, e.Name()), start: start})
		}
	}
	slices.SortFunc(all, func(a, b segment) int { return a.start.Compare(b.start) })
	return all, nil
}

// series writes the files of one vault.
type series struct {
	dir  string
	opt  Options
	open opener

	current segment
	file    file // nil until the first write, and after a failure
	size    int64
	// torn says that the file does not end with a newline.
	torn bool
}

// batch is lines to write together, each of which ends with a newline.
type batch struct {
	text []byte
	ends []int // where each line ends
}

// usualLine is more than most lines have, in bytes.
const usualLine = 384

func (lines *batch) add(e *Entry) error {
	text, err := appendLine(lines.text, e)
	if err != nil {
		return err
	}
	lines.text, lines.ends = text, append(lines.ends, len(text))
	return nil
}

func (lines *batch) empty() { lines.text, lines.ends = lines.text[:0], lines.ends[:0] }

// append writes the lines.
func (s *series) append(lines *batch) error {
	if err := s.ready(); err != nil {
		return err
	}
	var problems []error // old files that cannot be removed: no reason to lose new entries
	if s.size > 0 && s.opt.Now().Sub(s.current.start) > s.span() {
		if err := s.rotate(&problems); err != nil {
			return err
		}
	}
	from, end := 0, 0 // what is to be written, line by line
	for _, next := range lines.ends {
		if used := s.size + int64(end-from); used > 0 && used+int64(next-end) > s.opt.MaxBytes {
			if err := s.write(lines.text[from:end]); err != nil {
				return err
			}
			from = end
			if err := s.rotate(&problems); err != nil {
				return err
			}
		}
		end = next
	}
	if err := s.write(lines.text[from:end]); err != nil {
		return err
	}
	return errors.Join(problems...)
}

// span is how long one file may cover.
func (s *series) span() time.Duration { return s.opt.MaxAge / time.Duration(s.opt.MaxFiles-1) }

// ready sees to it that the newest file is open and is what it was: somebody
// may have removed it or cut it meanwhile.
func (s *series) ready() error {
	if s.file != nil {
		info, err := os.Stat(s.current.path)
		if err == nil && info.Size() == s.size {
			return nil
		}
		_ = s.file.Close() // it is given up
		s.file = nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	all, err := segments(s.dir)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return s.begin(time.Time{})
	}
	s.current = all[len(all)-1]
	if s.size, s.torn, err = tail(s.current.path); err != nil {
		return err
	}
	s.file, err = s.open(s.current.path, false)
	return err
}

// tail is the size of a file, and whether its last line lacks its end: the
// process was killed, or the disk was full, while it was written.
func tail(path string) (size int64, torn bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return 0, false, err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil {
		return 0, false, fmt.Errorf("read the end of %s: %w", path, err)
	}
	return info.Size(), last[0] != '\n', nil
}

// begin makes a new file, later by name than the one before.
func (s *series) begin(before time.Time) error {
	start := s.opt.Now().UTC().Truncate(nameStep)
	for {
		if !start.After(before) {
			start = before.Add(nameStep)
		}
		path := filepath.Join(s.dir, start.Format(nameLayout)+nameSuffix)
		f, err := s.open(path, true)
		if errors.Is(err, fs.ErrExist) {
			before = start
			continue
		}
		if err != nil {
			return err
		}
		s.file, s.current, s.size, s.torn = f, segment{path: path, start: start}, 0, false
		return nil
	}
}

// rotate goes on in a new file and removes what is too old or too much.
func (s *series) rotate(problems *[]error) error {
	before := s.current.start
	if err := errors.Join(s.sync(), s.close()); err != nil {
		return err
	}
	if err := s.begin(before); err != nil {
		return err
	}
	if err := s.prune(); err != nil {
		*problems = append(*problems, fmt.Errorf("the entries are written, but old files cannot be removed: %w", err))
	}
	return nil
}

// prune removes the oldest files. The age of a file is that of its newest
// entry, which is older than the file after it.
func (s *series) prune() error {
	all, err := segments(s.dir)
	if err != nil {
		return err
	}
	limit := s.opt.Now().Add(-s.opt.MaxAge)
	var problems []error
	for len(all) > 1 && (len(all) > s.opt.MaxFiles || all[1].start.Before(limit)) {
		if err := os.Remove(all[0].path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
		all = all[1:]
	}
	return errors.Join(problems...)
}

// write is one write, after one that ends a torn line if there is one. What a
// failed one left is taken back; if that cannot be done either, the next write
// ends the torn line.
func (s *series) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if s.torn {
		s.torn = false
		if err := s.write([]byte{'\n'}); err != nil {
			return err
		}
	}
	n, err := s.file.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err == nil {
		s.size, s.torn = s.size+int64(n), false
		return nil
	}
	if n > 0 {
		if undo := os.Truncate(s.current.path, s.size); undo != nil {
			err = errors.Join(err, fmt.Errorf("take back what was written of it: %w", undo))
		}
	}
	// The next write opens the file anew and looks at how it ends.
	return errors.Join(err, s.close())
}

func (s *series) sync() error {
	if s.file == nil {
		return nil
	}
	return s.file.Sync()
}

func (s *series) close() error {
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}
