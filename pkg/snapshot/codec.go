package snapshot

import (
	"encoding/binary"
	"time"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// unseal checks and takes off the checksum that every record has.
func unseal(key, sealed []byte) ([]byte, error) {
	value, ok := boltfile.Unseal(key, sealed)
	if !ok {
		return nil, damaged("a record's checksum does not hold")
	}
	return value, nil
}

func flags(bits ...bool) byte {
	var f byte
	for i, set := range bits {
		if set {
			f |= 1 << i
		}
	}
	return f
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(b, 0)
	}
	return binary.AppendVarint(b, t.Unix())
}

// reader reads a record; after the first error everything is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = damaged("a record ends early")
	}
	r.b = nil
}

// end is the first error, or that something is left.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		return damaged("a record goes on after its end")
	}
	return r.err
}

func (r *reader) byte() byte {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string { return string(r.bytes(r.uvarint())) }

// bytes are part of what is read, good for as long as that.
func (r *reader) bytes(n uint64) []byte {
	if uint64(len(r.b)) < n {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) id() identity.ObjectID {
	if b := r.bytes(uint64(idSize)); b != nil {
		return identity.ObjectID(b)
	}
	return identity.ObjectID{}
}

func (r *reader) time() time.Time {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return time.Time{}
	}
	r.b = r.b[n:]
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(v, 0).UTC()
}
