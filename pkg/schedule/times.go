package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
)

// Times keeps the vaults' run times over restarts.
type Times interface {
	// Load reads all of them. An error means that nothing is known, not that
	// there is nothing.
	Load() (map[string]Past, error)
	// Save writes those given, all or none, and leaves the others.
	Save(changed map[string]Past) error
}

// File is the server's own state: the run times of all vaults in one bbolt
// file, written in one transaction a tick.
type File struct{ db *bbolt.DB }

var _ Times = (*File)(nil)

// timesVersion is the version of the records below.
const timesVersion = 1

var (
	metaBucket  = []byte("meta")
	timesBucket = []byte("times")
	versionKey  = []byte("version")
)

// OpenFile opens the file at path, or makes it. Errors wrap boltfile.ErrLocked
// or boltfile.ErrDamaged.
func OpenFile(path string) (*File, error) {
	db, err := boltfile.Open(path, boltfile.Options{}, func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket(timesBucket); err != nil {
			return err
		}
		return meta.Put(versionKey, []byte{timesVersion})
	})
	if err != nil {
		return nil, fmt.Errorf("run times: %w", err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		meta, times := tx.Bucket(metaBucket), tx.Bucket(timesBucket)
		if meta == nil || times == nil || len(meta.Get(versionKey)) != 1 {
			return &boltfile.Error{Path: path, Kind: boltfile.ErrDamaged, Err: errors.New("it is not a file of run times")}
		}
		if v := meta.Get(versionKey)[0]; v != timesVersion {
			return fmt.Errorf("%s was written by another version of vaultsync (format %d, this one reads %d)", path, v, timesVersion)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("run times: %w", err), db.Close())
	}
	return &File{db: db}, nil
}

// Close gives the file free. It waits for a Save under way.
func (f *File) Close() error {
	if err := f.db.Close(); err != nil {
		return fmt.Errorf("run times: %w", err)
	}
	return nil
}

// DB is the file itself, for a backup.
func (f *File) DB() *bbolt.DB { return f.db }

// Load reads all run times.
func (f *File) Load() (map[string]Past, error) {
	all := map[string]Past{}
	err := f.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(timesBucket).ForEach(func(name, record []byte) error {
			past, err := decodePast(name, record)
			if err != nil {
				return &boltfile.Error{Path: f.db.Path(), Kind: boltfile.ErrDamaged, Err: fmt.Errorf("vault %s: %w", name, err)}
			}
			all[string(name)] = past
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("run times: %w", err)
	}
	return all, nil
}

// Save writes the run times given in one transaction.
func (f *File) Save(changed map[string]Past) error {
	if len(changed) == 0 {
		return nil
	}
	err := f.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(timesBucket)
		for name, past := range changed {
			record, err := encodePast(name, past)
			if err != nil {
				return err
			}
			if err := bucket.Put([]byte(name), record); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("run times: %w", err)
	}
	return nil
}

// stored is a record's JSON, which is sealed under the vault's name.
type stored struct {
	LastStart time.Time `json:"lastStart,omitzero"`
	LastFull  time.Time `json:"lastFull,omitzero"`
	Imported  time.Time `json:"imported,omitzero"`
	Failures  int       `json:"failures,omitzero"`
	Paused    bool      `json:"paused,omitzero"`
}

func encodePast(name string, p Past) ([]byte, error) {
	p.LastStart, p.LastFull, p.Imported = p.LastStart.UTC(), p.LastFull.UTC(), p.Imported.UTC()
	text, err := json.Marshal(stored(p))
	if err != nil {
		return nil, err
	}
	return boltfile.Seal([]byte(name), text), nil
}

func decodePast(name, record []byte) (Past, error) {
	text, ok := boltfile.Unseal(name, record)
	if !ok {
		return Past{}, errors.New("the checksum does not fit")
	}
	var s stored
	if err := json.Unmarshal(text, &s); err != nil {
		return Past{}, err
	}
	return Past(s), nil
}
