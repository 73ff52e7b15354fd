package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// pipe runs a server's part on one end of a pipe and gives the other.
func pipe(t *testing.T, handler Handler) (client net.Conn, ended chan struct{}) {
	t.Helper()
	client, other := net.Pipe()
	s := &Server{options: Options{Logger: discard()}, authorize: func(net.Conn) error { return nil }}
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = other.Close() }()
		s.serve(t.Context(), other, handler)
	}()
	return client, ended
}

func TestDaemonThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, other := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, other) }()
		began := time.Now()
		_, err := exchange(t.Context(), client, "here", Request{}, io.Discard, io.Discard)
		if !errors.Is(err, ErrNotAnswering) || time.Since(began) != answerWithin {
			t.Errorf("after %v: %v, want ErrNotAnswering after %v", time.Since(began), err, answerWithin)
		}
		_ = other.Close()
	})
}

func TestDaemonThatFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, other := net.Pipe()
		go func() {
			_, _, _ = readFrame(other)
			_ = writeFrame(other, frameAccept, nil)
		}()
		_, err := exchange(t.Context(), client, "here", Request{}, io.Discard, io.Discard)
		if !errors.Is(err, ErrBroken) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error is %v, want ErrBroken: the command may have been done", err)
		}
		_ = other.Close()
	})
}

func TestSilentCommandIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ended := pipe(t, func(_ context.Context, _ Request, s Streams) int {
			time.Sleep(3 * time.Hour) // a large first import prints nothing for long
			_, _ = s.Stdout.Write([]byte("done"))
			return 4
		})
		var out bytes.Buffer
		exit, err := exchange(t.Context(), client, "here", Request{}, &out, io.Discard)
		if exit != 4 || err != nil || out.String() != "done" {
			t.Errorf("exchange = %d, %v, %q", exit, err, &out)
		}
		<-ended
	})
}

func TestClientThatDoesNotReadCountsAsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause, writeErr error
		began := time.Now()
		client, ended := pipe(t, func(ctx context.Context, _ Request, s Streams) int {
			_, writeErr = s.Stdout.Write(make([]byte, 10*maxChunk))
			cause = context.Cause(ctx)
			return 0
		})
		if err := sendRequest(client, Request{}, func() {}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readFrame(client); err != nil { // accepted; then it reads no more
			t.Fatal(err)
		}
		<-ended
		if !errors.Is(cause, ErrClientGone) || !errors.Is(writeErr, ErrClientGone) {
			t.Errorf("the command's context ended with %v, its write with %v", cause, writeErr)
		}
		if took := time.Since(began); took != writeWithin {
			t.Errorf("the daemon was held up for %v, want %v", took, writeWithin)
		}
		_ = client.Close()
	})
}

func TestClientThatSendsNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ended := pipe(t, func(context.Context, Request, Streams) int {
			t.Error("a request that never came was executed")
			return 0
		})
		began := time.Now()
		<-ended
		if took := time.Since(began); took != requestWithin {
			t.Errorf("it was waited for %v, want %v", took, requestWithin)
		}
		_ = client.Close()
	})
}

func TestInterruptWhileInputsAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, other := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _, _ = readFrame(other) // the request
			_, _, _ = readFrame(other) // one chunk; then a daemon that hangs
			cancel()
		}()
		inputs := []Input{{"large", make([]byte, 100*maxChunk)}}
		_, err := exchange(ctx, client, "here", Request{Inputs: inputs}, io.Discard, io.Discard)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want the interruption", err)
		}
		_ = other.Close()
	})
}
