package control

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestReadFrameRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bytes string
		want  error
	}{
		"nothing is the end":                     {"", io.EOF},
		"a torn header":                          {"O\x00\x00", io.ErrUnexpectedEOF},
		"a torn payload":                         {"O\x00\x00\x00\x05abc", io.ErrUnexpectedEOF},
		"a payload that never begins":            {"O\x00\x00\x00\x05", io.ErrUnexpectedEOF},
		"an unknown kind":                        {"Z\x00\x00\x00\x00", errFrame},
		"four gigabytes announced":               {"O\xff\xff\xff\xff", errFrame},
		"one byte more than a chunk":             {"O\x00\x00\x80\x01", errFrame},
		"an exit code of five bytes":             {"X\x00\x00\x00\x05abcde", errFrame},
		"a payload where none belongs":           {"P\x00\x00\x00\x01a", errFrame},
		"a web browser":                          {"GET / HTTP/1.1\r\n\r\n", errFrame},
		"a request larger than a request may be": {"R\x00\x10\x00\x01", errFrame},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := readFrame(bytes.NewReader([]byte(c.bytes))); !errors.Is(err, c.want) {
				t.Errorf("readFrame = %v, want %v", err, c.want)
			}
		})
	}
}

func TestWriteFrameRefusesWhatReadFrameWould(t *testing.T) {
	t.Parallel()
	if err := writeFrame(io.Discard, frameStdout, make([]byte, maxChunk+1)); !errors.Is(err, errFrame) {
		t.Errorf("writeFrame of too much = %v", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(appendFrame(nil, frameStdout, []byte("text")))
	f.Add(appendFrame(appendFrame(nil, frameAccept, nil), frameExit, []byte{0, 0, 0, 3}))
	f.Add([]byte("R\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		var again []byte
		for r := bytes.NewReader(stream); ; {
			kind, payload, err := readFrame(r)
			if err != nil {
				break
			}
			if limit, known := kind.limit(); !known || len(payload) > int(limit) {
				t.Fatalf("kind %q with %d bytes came through", byte(kind), len(payload))
			}
			again = appendFrame(again, kind, payload)
		}
		if !bytes.HasPrefix(stream, again) {
			t.Errorf("%q was read as %q", stream, again)
		}
	})
}
