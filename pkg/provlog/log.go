package provlog

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Defaults of Options.
const (
	DefaultMaxBytes = 16 << 20
	DefaultMaxFiles = 10
	DefaultMaxAge   = 400 * 24 * time.Hour
)

// Options say how much of the log is kept. The zero value takes the defaults.
type Options struct {
	// MaxBytes is how large one file may become, in bytes.
	MaxBytes int64
	// MaxFiles is how many files a vault may have, the one being written
	// included; at least 2.
	MaxFiles int
	// MaxAge is how long an entry is kept. A file is begun at the latest when
	// the one before it covers MaxAge/(MaxFiles-1), so that a quiet vault
	// keeps the age too.
	MaxAge time.Duration
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
}

// Log is the provisioning log below one folder: a folder for each vault, and in
// it files of JSON lines whose names sort by the time at which they were begun.
// It is safe for use by several goroutines. One process writes at a time;
// others may read meanwhile.
type Log struct {
	dir  string
	opt  Options
	open opener

	buffers sync.Pool // of *batch, emptied

	mu     sync.Mutex
	vaults map[string]*series
	closed bool
}

// ErrClosed means that the log was closed before.
var ErrClosed = errors.New("the provisioning log is closed")

// ErrVaultName means that a vault's name cannot be that of a folder.
var ErrVaultName = errors.New("the vault's name cannot be a folder's")

// Open prepares the log in dir. Nothing is made until the first entry is
// written, so that reading leaves no trace.
func Open(dir string, o Options) (*Log, error) {
	switch {
	case dir == "":
		return nil, errors.New("open the provisioning log: no folder is named")
	case o.MaxBytes < 0, o.MaxAge < 0, o.MaxFiles < 0, o.MaxFiles == 1:
		return nil, fmt.Errorf("open the provisioning log: %d bytes a file, %d files, %s: want positive numbers and at least 2 files", o.MaxBytes, o.MaxFiles, o.MaxAge)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = DefaultMaxFiles
	}
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Log{dir: dir, opt: o, open: openFile, vaults: map[string]*series{}}, nil
}

// Append writes the entries, those of one vault with one write as long as they
// fit into its file. After an error the entries of the vaults that it names
// are not, or not all, in the log; no half line is left behind, or else the
// next write ends it. The entries reach the disk when the system sees fit or
// with Sync.
func (l *Log) Append(entries []Entry) error {
	batches := map[string]*batch{}
	for i := range entries {
		vault := entries[i].Vault
		lines := batches[vault]
		if lines == nil {
			if err := checkVault(vault); err != nil {
				return fmt.Errorf("write the provisioning log: %w", err)
			}
			if lines, _ = l.buffers.Get().(*batch); lines == nil {
				lines = &batch{text: make([]byte, 0, usualLine*(len(entries)-i))}
			}
			batches[vault] = lines
		}
		if err := lines.add(&entries[i]); err != nil {
			return fmt.Errorf("write the provisioning log of vault %s: %w", vault, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("write the provisioning log: %w", ErrClosed)
	}
	var problems []error
	for _, vault := range slices.Sorted(maps.Keys(batches)) {
		s := l.vaults[vault]
		if s == nil {
			s = &series{dir: filepath.Join(l.dir, vault), opt: l.opt, open: l.open}
			l.vaults[vault] = s
		}
		if err := s.append(batches[vault]); err != nil {
			problems = append(problems, fmt.Errorf("write the provisioning log of vault %s: %w", vault, err))
		}
		if cap(batches[vault].text) <= maxLine { // else one of a rare size
			batches[vault].empty()
			l.buffers.Put(batches[vault])
		}
	}
	return errors.Join(problems...)
}

// Sync makes everything written so far durable: at the end of a run, say.
func (l *Log) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var problems []error
	for _, s := range l.vaults {
		problems = append(problems, s.sync())
	}
	return errors.Join(problems...)
}

// Close makes everything durable and closes the files. Reading goes on to work.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var problems []error
	for _, s := range l.vaults {
		problems = append(problems, s.sync(), s.close())
	}
	return errors.Join(problems...)
}

// checkVault keeps a name from leading out of the log's folder. Which names a
// vault may have is the configuration's to say; this is no more than the lock
// behind the door.
func checkVault(name string) error {
	if name == "" || name == "." || filepath.Base(name) != name || !filepath.IsLocal(name) || len(name) > 255 {
		return fmt.Errorf("%w: %q", ErrVaultName, name)
	}
	for _, r := range name {
		if r < ' ' || r == '/' || r == '\\' || r == ':' {
			return fmt.Errorf("%w: %q", ErrVaultName, name)
		}
	}
	return nil
}
