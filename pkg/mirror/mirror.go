package mirror

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	bolt "go.etcd.io/bbolt"
)

// Options says what a mirror is for.
type Options struct {
	// Tenant is the directory's tenant; a file of another one is refused.
	Tenant string
	// Select lists the attributes of people to keep, by source path. When it
	// differs from what the file holds, the next refresh reads all anew.
	Select []string
	// Logger may be nil.
	Logger *slog.Logger
	// Now may be nil: time.Now.
	Now func() time.Time
	// ProfileLimit is up to how many people in scope are read one by one
	// instead of following all users of the tenant; 0 means 2,000.
	ProfileLimit int
	// Profiles is auto, stream or read; "" means auto.
	Profiles string

	maxSize int                // bytes; for tests of a full disk
	cut     func(string) error // called before each durable step; for tests of crashes
	portion int                // people in one transaction; 0 means defaultPortion
}

const defaultProfileLimit = 2000

// defaultPortion is how many people's records are written in one transaction:
// a million in one take 934 MB of memory, in portions of this size 115.
const defaultPortion = 20_000

// Mirror is the local copy of one directory. Its methods are safe for use by
// several goroutines.
type Mirror struct {
	path   string
	db     *bolt.DB
	opt    Options
	policy profilePolicy
	sel    []string // Options.Select, sorted
	epoch  string
	log    *slog.Logger

	refreshing sync.Mutex // one refresh at a time
	committing sync.RWMutex
	state      atomic.Pointer[state]
	closed     atomic.Bool
	// pins are those that were asked for, by folded name: each tick asks for
	// the groups of every vault.
	pins sync.Map
}

// Open opens the mirror at path, or makes an empty one when there is no file.
// A failure that concerns the file itself is an *Error with ErrOtherTenant,
// ErrLocked, ErrDamaged or ErrNewer. An empty or cut-off file is damaged, never
// new: read as new it would be a directory that everybody has left.
func Open(path string, o Options) (*Mirror, error) {
	policy, err := newProfilePolicy(o.Profiles, o.ProfileLimit)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.portion == 0 {
		o.portion = defaultPortion
	}
	sel := slices.Compact(slices.Sorted(slices.Values(o.Select)))
	db, err := openFile(path, o.Tenant, sel, o.maxSize)
	if err != nil {
		return nil, err
	}
	m := &Mirror{path: path, db: db, opt: o, policy: policy, sel: sel, log: o.Logger}
	err = guarded(path, m.load)
	if errors.Is(err, errEmptyCopy) {
		// A tenant id that was mistyped and put right before anything was
		// ever read: the file is made anew.
		if err := errors.Join(db.Close(), os.Remove(path)); err != nil {
			return nil, fmt.Errorf("open mirror: %w", err)
		}
		return Open(path, o)
	}
	if err != nil {
		// Close can meet the same damage.
		return nil, errors.Join(err, guarded(path, db.Close))
	}
	return m, nil
}

// load reads what is kept in memory and ends what a crash left half done.
func (m *Mirror) load() error {
	err := m.db.View(func(tx *bolt.Tx) error {
		if err := m.admit(tx); err != nil {
			return err
		}
		st, err := loadState(tx)
		if err == nil {
			m.state.Store(st)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := removeRound(m.path); err != nil {
		return err
	}
	if err := m.dropStaged(); err != nil {
		return err
	}
	return m.foldOverlay(context.Background())
}

// errEmptyCopy means that the file is another tenant's, and that nothing of
// that tenant was ever read into it.
var errEmptyCopy = errors.New("nothing was ever read into it")

// admit refuses a file that is not this mirror's to use.
func (m *Mirror) admit(tx *bolt.Tx) error {
	value, err := need(tx, bucketMeta, keySchema)
	if err != nil {
		return err
	}
	if version, size := binary.Uvarint(value); size <= 0 || version == 0 {
		return damaged("the schema version cannot be read")
	} else if version > schema {
		return &Error{Path: m.path, Kind: ErrNewer, Detail: fmt.Sprintf("schema %d, this version knows %d", version, schema)}
	}
	if value, err = need(tx, bucketMeta, keyTenant); err != nil {
		return err
	}
	if string(value) != m.opt.Tenant {
		if h, err := getHead(tx); err == nil && h.pulledAt.IsZero() && h.revision == 0 {
			return errEmptyCopy
		}
		return &Error{Path: m.path, Kind: ErrOtherTenant, Detail: fmt.Sprintf("it is of tenant %q, configured is %q", value, m.opt.Tenant)}
	}
	if value, err = need(tx, bucketMeta, keyEpoch); err != nil {
		return err
	}
	m.epoch = fmt.Sprintf("%x", value)
	return nil
}

// Close waits for a running refresh and for open views, and closes the file.
func (m *Mirror) Close() error {
	m.refreshing.Lock()
	defer m.refreshing.Unlock()
	if m.closed.Swap(true) {
		return nil
	}
	if err := m.db.Close(); err != nil {
		return fmt.Errorf("close mirror %s: %w", m.path, err)
	}
	return nil
}

// PulledAt is when the directory was last read with success; zero when never.
// A refresh that found nothing new and the same links is not written to the
// file, so that after a restart the time may be that of an earlier one.
func (m *Mirror) PulledAt() time.Time { return m.state.Load().head.pulledAt }

// FullAt is when the directory was last read in full; zero when never.
func (m *Mirror) FullAt() time.Time { return m.state.Load().head.fullAt }

// Stats is the size of a mirror.
type Stats struct {
	People      int   // with a place in some followed group
	Groups      int   // followed
	Memberships int   // direct ones, of people
	Streams     int   // stored delta links
	Bytes       int64 // size of the file
}

// Stats measures the mirror.
func (m *Mirror) Stats() (Stats, error) {
	st := m.state.Load()
	s := Stats{Groups: len(st.groups), Streams: len(st.streams)}
	all := roaring.New()
	for _, g := range st.groups {
		s.Memberships += int(g.Members.GetCardinality())
		all.Or(g.Members)
	}
	s.People = int(all.GetCardinality())
	info, err := os.Stat(m.path)
	if err != nil {
		return s, fmt.Errorf("measure mirror: %w", err)
	}
	s.Bytes = info.Size()
	return s, nil
}

// step runs one durable transaction.
func (m *Mirror) step(name string, f func(*bolt.Tx) error) error {
	if m.opt.cut != nil {
		if err := m.opt.cut(name); err != nil {
			return err
		}
	}
	if err := guarded(m.path, func() error { return m.db.Update(f) }); err != nil {
		return fmt.Errorf("mirror %s: %s: %w", m.path, name, err)
	}
	return nil
}

// publish commits f and makes next visible, in one step for readers.
func (m *Mirror) publish(name string, next *state, f func(*bolt.Tx) error) error {
	m.committing.Lock()
	defer m.committing.Unlock()
	next.head.commit = m.state.Load().head.commit + 1
	err := m.step(name, func(tx *bolt.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return put(tx, bucketMeta, keyHead, next.head.encode())
	})
	if err == nil {
		m.state.Store(next)
	}
	return err
}

// begin is a read transaction and the state that belongs to it.
func (m *Mirror) begin() (*bolt.Tx, *state, error) {
	for {
		st := m.state.Load()
		tx, err := m.db.Begin(false)
		if err != nil {
			return nil, nil, fmt.Errorf("mirror %s: begin to read: %w", m.path, err)
		}
		var h head
		err = guarded(m.path, func() (err error) {
			h, err = getHead(tx)
			return err
		})
		if err != nil {
			return nil, nil, errors.Join(err, tx.Rollback())
		}
		if h.commit == st.head.commit {
			return tx, st, nil
		}
		if err := tx.Rollback(); err != nil {
			return nil, nil, fmt.Errorf("mirror %s: end a read: %w", m.path, err)
		}
		// A commit came between the two: wait until it is published.
		m.committing.RLock()
		m.committing.RUnlock() //nolint:staticcheck // the wait is the purpose
		runtime.Gosched()
	}
}
