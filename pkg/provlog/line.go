package provlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

const (
	// maxLine bounds what one line may cost a reader, in bytes.
	maxLine = 1 << 20
	// maxText is how much is kept of a reason or an error: stores answer with
	// whole pages at times.
	maxText = 16 << 10
)

// errNoEntry means that a line is not an entry.
var errNoEntry = errors.New("not an entry of the provisioning log")

// cut shortens a text, never within a character.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// decode reads one line. Fields that it does not know are of a later version.
func decode(line []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", errNoEntry, err)
	}
	if e.Time.IsZero() || e.Vault == "" || e.Kind == "" {
		return Entry{}, errNoEntry
	}
	return e, nil
}

// lines reads entries from one file, in bounded memory whatever is in it.
type lines struct {
	r    *bufio.Reader
	line int // the number of the line last read, from 1
	buf  []byte
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 16<<10)} }

// next is the next entry. errNoEntry is a line that cannot be read; io.EOF is
// the end. A last line without its end is being written just now, or was torn
// by a crash: it counts when it is whole, else it is no line at all.
func (l *lines) next() (Entry, error) {
	for {
		line, whole, err := l.read()
		if err != nil && !errors.Is(err, io.EOF) {
			return Entry{}, err
		}
		ended := err == nil
		if len(bytes.TrimSpace(line)) == 0 && whole {
			if !ended {
				return Entry{}, io.EOF
			}
			continue // between a torn line and the write after it, or by hand
		}
		if !whole {
			if !ended {
				return Entry{}, io.EOF
			}
			return Entry{}, fmt.Errorf("%w: longer than %d bytes", errNoEntry, maxLine)
		}
		e, err := decode(line)
		if err != nil && !ended {
			return Entry{}, io.EOF
		}
		return e, err
	}
}

// read is one line without its end; whole is false for one that is too long,
// of which the rest is passed over. The error is io.EOF when the line has no
// end.
func (l *lines) read() (line []byte, whole bool, err error) {
	l.buf, whole = l.buf[:0], true
	l.line++
	for {
		part, err := l.r.ReadSlice('\n')
		if whole = whole && len(l.buf)+len(part) <= maxLine; whole {
			l.buf = append(l.buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && !errors.Is(err, io.EOF):
			return nil, false, fmt.Errorf("read line %d: %w", l.line, err)
		default:
			return l.buf, whole, err
		}
	}
}
