package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

const roleFloor = "floor"

// floorResult is the two halves of the floor.
type floorResult struct {
	Read  reading `json:"read"`
	Pages int     `json:"pages"`
	Write reading `json:"write"`
	// Records were written, of Bytes in all.
	Records int   `json:"records"`
	Bytes   int64 `json:"bytes"`
	// State is how much of the mirror and the snapshots is in use, in bytes:
	// files grow ahead of what they hold.
	State int64 `json:"state"`
}

// floorProcess reads the tenant as bare as it goes, then writes every record
// that the engine's files hold after its first import once, in the order of
// the keys, in portions. ENGINE is the engine's folder, which it has closed.
func floorProcess(ctx context.Context, out io.Writer, args []string) error {
	if len(args) != 3 {
		return errors.New("floor: want FACTS, ENGINE and DIR")
	}
	var facts tenantFacts
	if err := readJSONFile(args[0], &facts); err != nil {
		return err
	}
	var r floorResult
	var err error
	if r.Read, err = gauge(func() error {
		var err error
		r.Pages, err = readBare(ctx, facts)
		return err
	}, nil); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	w := &rewriter{portion: portion{result: &r}}
	if err := w.rewrite(args[1], filepath.Join(args[2], "floor.db")); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	r.Write = w.reading
	if err := json.NewEncoder(out).Encode(r); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// portionRecords is how many records share a transaction, as in the mirror.
const portionRecords = 20_000

// rewriter copies bbolt files record by record into one. Only the writing is
// measured: the records themselves are read between two measurements.
type rewriter struct {
	reading
	db *bbolt.DB
	portion
}

// portion is the records that go into the next transaction.
type portion struct {
	result *floorResult
	bucket [][]byte // a path of names
	pairs  [][2][]byte
}

func (w *rewriter) rewrite(from, to string) (err error) {
	if w.db, err = bbolt.Open(to, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType}); err != nil {
		return fmt.Errorf("make the floor's file: %w", err)
	}
	defer func() { err = errors.Join(err, w.db.Close()) }()
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || entry.IsDir():
			return err
		case filepath.Base(filepath.Dir(filepath.Dir(path))) == logDir:
			return w.copyLog(path, filepath.Dir(to))
		case filepath.Ext(path) != ".db":
			return nil
		}
		source, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
		if err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		err = source.View(func(tx *bbolt.Tx) error {
			if entry.Name() != storeFile {
				w.result.State += tx.Size()
			}
			return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
				return w.copyBucket([][]byte{[]byte(path), name}, b)
			})
		})
		return errors.Join(err, source.Close())
	})
}

// copyLog writes the lines of the provisioning log, which are durable records
// too, portion by portion.
func (w *rewriter) copyLog(path, to string) (err error) {
	source, err := os.Open(path) //nolint:gosec // the engine's folder
	if err != nil {
		return fmt.Errorf("read the provisioning log: %w", err)
	}
	defer source.Close()                                                                                   //nolint:errcheck // was only read
	target, err := os.OpenFile(filepath.Join(to, "floor.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600) //nolint:gosec // the floor's folder
	if err != nil {
		return fmt.Errorf("write the provisioning log: %w", err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	lines := make([]byte, 1<<20)
	for {
		n, readErr := io.ReadFull(source, lines)
		r, err := gauge(func() error {
			_, err := target.Write(lines[:n])
			return err
		}, nil)
		w.Wall += r.Wall
		w.CPU += r.CPU
		w.result.Bytes += int64(n)
		switch {
		case err != nil:
			return fmt.Errorf("write the provisioning log: %w", err)
		case readErr != nil && !errors.Is(readErr, io.EOF) && !errors.Is(readErr, io.ErrUnexpectedEOF):
			return fmt.Errorf("read the provisioning log: %w", readErr)
		case readErr != nil:
			return nil
		}
	}
}

func (w *rewriter) copyBucket(path [][]byte, b *bbolt.Bucket) error {
	w.bucket = path
	err := b.ForEach(func(k, v []byte) error {
		if v == nil {
			if err := w.flush(); err != nil {
				return err
			}
			inner := append(append([][]byte{}, path...), append([]byte(nil), k...))
			if err := w.copyBucket(inner, b.Bucket(k)); err != nil {
				return err
			}
			w.bucket = path
			return nil
		}
		w.pairs = append(w.pairs, [2][]byte{append([]byte(nil), k...), append([]byte(nil), v...)})
		w.result.Records++
		w.result.Bytes += int64(len(k) + len(v))
		if len(w.pairs) < portionRecords {
			return nil
		}
		return w.flush()
	})
	return errors.Join(err, w.flush())
}

// flush writes the portion in one transaction.
func (w *rewriter) flush() error {
	if len(w.pairs) == 0 {
		return nil
	}
	r, err := gauge(func() error { return w.db.Update(w.put) }, nil)
	w.Wall += r.Wall
	w.CPU += r.CPU
	w.Anonymous, w.Resident = max(w.Anonymous, r.Anonymous), max(w.Resident, r.Resident)
	w.pairs = w.pairs[:0]
	return err
}

func (w *rewriter) put(tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists(w.bucket[0])
	for _, name := range w.bucket[1:] {
		if err != nil {
			return fmt.Errorf("make a bucket: %w", err)
		}
		b, err = b.CreateBucketIfNotExists(name)
	}
	if err != nil {
		return fmt.Errorf("make a bucket: %w", err)
	}
	b.FillPercent = 0.95 // in the order of the keys
	for _, pair := range w.pairs {
		if err := b.Put(pair[0], pair[1]); err != nil {
			return fmt.Errorf("write a record: %w", err)
		}
	}
	return nil
}
