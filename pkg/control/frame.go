package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A frame is its kind (1 byte), the length of its payload (4 bytes, big
// endian) and the payload.
type frameKind byte

const (
	frameRequest frameKind = 'R' // client: the request, JSON
	frameInput   frameKind = 'I' // client: a piece of the inputs, in their order
	frameCancel  frameKind = 'C' // client: stop at the next safe point
	frameAccept  frameKind = 'A' // daemon: the request is being executed
	frameRefuse  frameKind = 'N' // daemon: it is not, and why, JSON
	frameStdout  frameKind = 'O' // daemon: output
	frameStderr  frameKind = 'E' // daemon: progress and messages
	framePing    frameKind = 'P' // daemon: still there
	frameExit    frameKind = 'X' // daemon: done; the exit code, 4 bytes
)

const (
	frameHeader = 5
	// maxChunk bounds the frames that carry bytes, larger writes are split.
	maxChunk = 32 << 10
	// maxRequest bounds the arguments and all else of a request but inputs.
	maxRequest = 1 << 20
)

// limit is the longest payload of a kind; kinds that do not exist have none.
func (k frameKind) limit() (n uint32, known bool) {
	switch k {
	case frameRequest, frameRefuse:
		return maxRequest, true
	case frameInput, frameStdout, frameStderr:
		return maxChunk, true
	case frameExit:
		return 4, true
	case frameCancel, frameAccept, framePing:
		return 0, true
	}
	return 0, false
}

// errFrame means that the other side does not speak this protocol.
var errFrame = errors.New("not a vaultsync control message")

// readFrame reads one frame. No more memory is taken than the kind allows,
// whatever the header says. io.EOF means that the other side closed between
// two frames.
func readFrame(r io.Reader) (frameKind, []byte, error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	kind, size := frameKind(header[0]), binary.BigEndian.Uint32(header[1:])
	limit, known := kind.limit()
	if !known || size > limit {
		return 0, nil, fmt.Errorf("%w: kind %q with %d bytes", errFrame, byte(kind), size)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return kind, payload, nil
}

// appendFrame encodes one frame.
func appendFrame(b []byte, kind frameKind, payload []byte) []byte {
	b = append(b, byte(kind))
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// writeFrame writes one frame in one call.
func writeFrame(w io.Writer, kind frameKind, payload []byte) error {
	if limit, _ := kind.limit(); len(payload) > int(limit) {
		return fmt.Errorf("%w: %d bytes are more than a message %q holds", errFrame, len(payload), byte(kind))
	}
	_, err := w.Write(appendFrame(nil, kind, payload))
	return err
}
