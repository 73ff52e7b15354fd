// Package embedded is a vault's user store of its own: one bbolt file for a
// server, with login accounts and licence pools shared by its vaults, and the
// users and groups of each vault. It is modelled on document-management
// servers that keep login accounts apart from vault users.
//
// # Model
//
// A login account has the login name (unique by identity.Fold), names,
// licence and attributes; changing them through one vault changes them for
// all. A vault user belongs to one vault and one login account and has its own
// id (never used again), its own enabled flag, external id and managed mark:
// disabling a person in one vault leaves the other vaults and the licence
// alone. There is no switch on the login account itself: no command and no
// change could turn it, so vault.User.Enabled is the vault user's own flag,
// and a login account that is not a user of the vault shows as enabled. The
// login account remembers the external id that it was linked with last, so
// that another vault of the server finds it by that id.
//
// The package knows nothing of directories and decides nothing: which account
// is whose, and who is disabled, is the caller's.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Pool is the number of licences of one type; Count -1 is unlimited, as is a
// type that has no pool.
type Pool struct {
	Type  identity.License
	Count int
}

// Options configure a server.
type Options struct {
	// Licenses are the pools. Lowering a count takes no licence from anybody;
	// it only stops new ones.
	Licenses []Pool
	// Logger is told when a store is made and what was cleared away; nil is
	// silent.
	Logger *slog.Logger

	// maxSize limits the file, to test a full disk; 0 is no limit.
	maxSize int
}

// Server is the open file. It is safe for use by several goroutines; only one
// process at a time can have it open.
type Server struct {
	path     string
	db       *bbolt.DB
	identity string
	counts   map[identity.License]int
	// writing is held by the one write transaction. A channel, so that waiting
	// for it ends with the context.
	writing chan struct{}
}

// Open opens the server's file, or makes it if there is none. It fails with
// ErrLocked when another process has it open for longer than a second, with
// ErrDamaged when the file is not a whole store (an empty or truncated file is
// never taken for a new store) and with ErrNewer or ErrOlder when
// a version wrote it whose records this one does not read.
func Open(path string, o Options) (*Server, error) {
	counts := map[identity.License]int{}
	for _, p := range o.Licenses {
		if !slices.Contains(licenseTypes[:], p.Type) || p.Count < -1 {
			return nil, fmt.Errorf("licence pool %q with count %d: want named, concurrent or readOnly and a count of at least 0, or -1 for unlimited", p.Type, p.Count)
		}
		if _, twice := counts[p.Type]; twice {
			return nil, fmt.Errorf("licence pool %q is given twice", p.Type)
		}
		counts[p.Type] = p.Count
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	db, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	s := &Server{path: path, db: db, counts: counts, writing: make(chan struct{}, 1)}
	if err := s.readIdentity(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (s *Server) readIdentity() error {
	return s.view(context.Background(), func(tx *bbolt.Tx) error {
		meta := openTable(tx.Bucket(bucketMeta), "meta")
		schema, _, err := meta.get(keySchema)
		if err != nil {
			return err
		}
		if len(schema) != 1 {
			return damaged("meta", "the version is missing")
		}
		if schema[0] > schemaVersion {
			return &FileError{Path: s.path, Kind: ErrNewer}
		}
		if schema[0] < schemaVersion {
			return &FileError{Path: s.path, Kind: ErrOlder}
		}
		id, found, err := meta.get(keyIdentity)
		if err != nil {
			return err
		}
		if !found {
			return damaged("meta", "the identity is missing")
		}
		s.identity = string(id)
		return nil
	})
}

// Close waits for transactions under way and closes the file. What is called
// afterwards fails with vault.ErrUnreachable.
func (s *Server) Close() error {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close user store %s: %w", s.path, err)
	}
	return nil
}

// Vault is the user store of one vault of the server. The vault itself is made
// when it is first written to or asked for its identity.
func (s *Server) Vault(name string) *Store { return &Store{server: s, name: name} }

// Backup writes a consistent copy of the whole file while the server goes on
// working. The copy has the same identity: it is the same store at an earlier
// time, for restoring, not a second one.
func (s *Server) Backup(ctx context.Context, w io.Writer) error {
	return s.view(ctx, func(tx *bbolt.Tx) error {
		if _, err := tx.WriteTo(w); err != nil {
			return fmt.Errorf("copy user store %s: %w", s.path, err)
		}
		return nil
	})
}
