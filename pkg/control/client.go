package control

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Call has the daemon at path execute a command, and copies what it prints to
// stdout and stderr. The errors are those of this package, with exit 0: the
// command was not executed then, but for ErrBroken. When ctx is done the daemon
// is asked to stop the command, and its exit code is waited for as long as the
// daemon lives, so that it tells what came of it.
func Call(ctx context.Context, path string, request Request, stdout, stderr io.Writer) (exit int, err error) {
	conn, err := dial(ctx, path)
	if err != nil {
		return 0, err
	}
	return exchange(ctx, conn, path, request, stdout, stderr)
}

// exchange speaks the client's part and closes conn.
func exchange(ctx context.Context, conn net.Conn, path string, request Request, stdout, stderr io.Writer) (int, error) {
	defer func() { _ = conn.Close() }()
	var mu sync.Mutex
	whole := false // the daemon may have the request, and have begun
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		// What cannot be sent ends the connection, which stops the command too.
		deadline(conn.SetWriteDeadline, cancelWithin)
		if !whole || writeFrame(conn, frameCancel, nil) != nil {
			_ = conn.Close()
		}
	})
	defer stop()
	deadline(conn.SetWriteDeadline, writeWithin)
	err := sendRequest(conn, request, func() {
		mu.Lock()
		defer mu.Unlock()
		whole = true
	})
	if err != nil {
		if refused := readRefusal(conn, path); refused != nil {
			return 0, refused
		}
		return 0, &Error{Kind: ErrNotAnswering, Where: path, Err: cause(ctx, err)}
	}
	return receiveAnswer(ctx, conn, path, stdout, stderr)
}

// sendRequest sends request and inputs, and calls last before the last message.
func sendRequest(w io.Writer, request Request, last func()) error {
	h := hello{Version: version, Request: request}
	for _, input := range request.Inputs {
		h.Inputs = append(h.Inputs, inputSize{Name: input.Name, Size: len(input.Data)})
	}
	payload, err := json.Marshal(h)
	if err != nil {
		return err
	}
	kind := frameRequest
	for _, input := range request.Inputs {
		for data := input.Data; len(data) > 0; {
			if err := writeFrame(w, kind, payload); err != nil {
				return err
			}
			n := min(maxChunk, len(data))
			kind, payload, data = frameInput, data[:n], data[n:]
		}
	}
	last()
	return writeFrame(w, kind, payload)
}

// readRefusal looks whether the daemon said why it did not read on.
func readRefusal(conn net.Conn, path string) error {
	deadline(conn.SetReadDeadline, time.Second)
	kind, payload, err := readFrame(conn)
	if err != nil || kind != frameRefuse {
		return nil //nolint:nilerr // the caller has the error that matters
	}
	return refusalError(path, payload)
}

func refusalError(path string, payload []byte) error {
	var no refusal
	if err := json.Unmarshal(payload, &no); err != nil {
		return &Error{Kind: errFrame, Where: path, Err: err}
	}
	e := &Error{Kind: no.kind(), Where: path}
	if no.Message != "" {
		e.Err = errors.New(no.Message)
	}
	return e
}

// receiveAnswer copies frames until the exit code.
func receiveAnswer(ctx context.Context, conn net.Conn, path string, stdout, stderr io.Writer) (int, error) {
	wait, broken := answerWithin, ErrNotAnswering
	for {
		deadline(conn.SetReadDeadline, wait)
		kind, payload, err := readFrame(conn)
		if err != nil {
			return 0, &Error{Kind: broken, Where: path, Err: cause(ctx, err)}
		}
		switch kind {
		case frameAccept:
			wait, broken = silentFor, ErrBroken
		case framePing:
		case frameStdout, frameStderr:
			to := stdout
			if kind == frameStderr {
				to = stderr
			}
			if _, err := to.Write(payload); err != nil {
				return 0, fmt.Errorf("write what the daemon printed: %w", err)
			}
		case frameExit:
			if len(payload) != 4 {
				return 0, &Error{Kind: errFrame, Where: path}
			}
			return int(int32(binary.BigEndian.Uint32(payload))), nil
		case frameRefuse:
			return 0, refusalError(path, payload)
		case frameRequest, frameInput, frameCancel:
			return 0, &Error{Kind: errFrame, Where: path, Err: fmt.Errorf("unexpected message %q", byte(kind))}
		}
	}
}

// cause is err, or why the caller left if that is the reason of it.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}
