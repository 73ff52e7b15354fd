package boltfile

import (
	"encoding/binary"
	"hash/crc32"
)

// sumSize is the length of a checksum.
const sumSize = 4

// checksum is the CRC-32C of key and value. bbolt has no checksums of its own,
// and a flipped bit in a set of people would be a person let in or shut out. The
// key is part of it: a record that stands in another's place does not match.
func checksum(key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(key, table), table, value)
}

// Seal returns the record to store under key: a copy of value and the checksum.
// It is a copy because bbolt keeps a record's slice until the transaction ends.
func Seal(key, value []byte) []byte {
	sealed := append(make([]byte, 0, len(value)+sumSize), value...)
	return binary.BigEndian.AppendUint32(sealed, checksum(key, value))
}

// Unseal checks a record that was read under key and returns its value; ok is
// false when it is not what was written. The value is part of sealed: good for
// as long as the transaction, and not to be written to.
func Unseal(key, sealed []byte) (value []byte, ok bool) {
	if len(sealed) < sumSize {
		return nil, false
	}
	end := len(sealed) - sumSize
	value = sealed[:end:end] // what is appended to it goes elsewhere
	return value, checksum(key, value) == binary.BigEndian.Uint32(sealed[end:])
}
