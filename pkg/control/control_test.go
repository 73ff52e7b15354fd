package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// transport is one way to reach the daemon; both are tested on every system
// that has them.
type transport struct {
	listen func(path string) (net.Listener, error)
	dial   func(ctx context.Context, path string) (net.Conn, error)
}

func transports() map[string]transport {
	return map[string]transport{
		"the system's own":    {listen, dial},
		"loopback with a key": {listenKeyed, dialKeyed},
	}
}

// daemon serves handler at a new path until the test ends.
func daemon(t *testing.T, tr transport, digest func() string, handler Handler) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "data", "control.sock")
	listener, err := tr.listen(path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, &Server{listener: listener, options: options(digest), authorize: authorize}, handler)
	return path
}

func serve(t *testing.T, s *Server, handler Handler) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, handler) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
}

func options(digest func() string) Options {
	return Options{ConfigDigest: digest, Logger: discard()}
}

func call(t *testing.T, tr transport, path string, request Request) (exit int, stdout, stderr string, err error) {
	t.Helper()
	conn, err := tr.dial(t.Context(), path)
	if err != nil {
		return 0, "", "", err
	}
	var out, progress bytes.Buffer
	exit, err = exchange(t.Context(), conn, path, request, &out, &progress)
	return exit, out.String(), progress.String(), err
}

func TestCommandRunsInTheDaemon(t *testing.T) {
	t.Parallel()
	for name, tr := range transports() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := bytes.Repeat([]byte("0123456789abcdef"), 10_000) // several chunks
			path := daemon(t, tr, nil, func(_ context.Context, r Request, s Streams) int {
				file, ok := r.Input("plan.json")
				_, other := r.Input("other")
				fmt.Fprintln(s.Stderr, "progress")
				fmt.Fprintf(s.Stdout, "%q %v %v %d %v %v\n", r.Args, r.StdoutTerminal, r.StderrTerminal, r.Width, ok && bytes.Equal(file, plan), other)
				_, _ = s.Stdout.Write(file)
				return -3
			})
			request := Request{Args: []string{"apply", "--json", "a b"}, StderrTerminal: true, Width: 120, Inputs: []Input{{"empty", nil}, {"plan.json", plan}}}
			exit, stdout, stderr, err := call(t, tr, path, request)
			if err != nil || exit != -3 || stderr != "progress\n" {
				t.Errorf("Call = %d, %v, stderr %q", exit, err, stderr)
			}
			if want := `["apply" "--json" "a b"] false true 120 true false` + "\n" + string(plan); stdout != want {
				t.Errorf("stdout begins %.80q and has %d bytes, want %d", stdout, len(stdout), len(want))
			}
		})
	}
}

func TestNoDaemon(t *testing.T) {
	t.Parallel()
	for name, tr := range transports() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "control.sock")
			if _, _, _, err := call(t, tr, path, Request{}); !errors.Is(err, ErrNoDaemon) {
				t.Errorf("without an endpoint: %v, want ErrNoDaemon", err)
			}
			missing := filepath.Join(t.TempDir(), "no", "such", "folder", "control.sock")
			if _, _, _, err := call(t, tr, missing, Request{}); !errors.Is(err, ErrNoDaemon) {
				t.Errorf("without a data directory: %v, want ErrNoDaemon", err)
			}
			kill(t, tr, path)
			if _, _, _, err := call(t, tr, path, Request{}); !errors.Is(err, ErrNoDaemon) {
				t.Errorf("after a daemon that died: %v, want ErrNoDaemon", err)
			}
			second, err := tr.listen(path)
			if err != nil {
				t.Fatalf("the next daemon cannot listen: %v", err)
			}
			if err := second.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a daemon that ended leaves its endpoint: %v", err)
			}
		})
	}
}

// kill leaves an endpoint at path as a daemon does that dies.
func kill(t *testing.T, tr transport, path string) {
	t.Helper()
	listener, err := tr.listen(path)
	if err != nil {
		t.Fatal(err)
	}
	switch l := listener.(type) {
	case *keyedListener:
		err = l.Listener.Close()
	case interface{ kill() error }:
		err = l.kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("nothing is left to find: %v", err)
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	t.Parallel()
	for name, tr := range transports() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := daemon(t, tr, nil, func(context.Context, Request, Streams) int { return 0 })
			if _, err := tr.listen(path); !errors.Is(err, ErrInUse) {
				t.Errorf("listen = %v, want ErrInUse", err)
			}
			if _, _, _, err := call(t, tr, path, Request{}); err != nil {
				t.Errorf("the first daemon is no longer reached: %v", err)
			}
		})
	}
}

func TestOtherConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	ran := 0
	path := daemon(t, transport{listen, dial}, func() string { return "aaaa" }, func(context.Context, Request, Streams) int { ran++; return 0 })
	for _, c := range []struct {
		name, digest string
		want         error
	}{
		{"another configuration", "bbbb", ErrOtherConfig},
		{"the same configuration", "aaaa", nil},
		{"a command that compares none", "", nil},
	} {
		inputs := []Input{{"large", make([]byte, 4<<20)}} // more than the socket buffers
		_, err := Call(t.Context(), path, Request{ConfigDigest: c.digest, Inputs: inputs}, io.Discard, io.Discard)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if c.want != nil {
			var hinted interface{ Hint() string }
			if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "vaultsync reload") {
				t.Errorf("%s: the error does not say to reload", c.name)
			}
		}
	}
	if ran != 2 {
		t.Errorf("%d commands ran, want 2: a refused one must not", ran)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	t.Parallel()
	path := daemon(t, transport{listen, dial}, nil, func(context.Context, Request, Streams) int {
		t.Error("a request that is none was executed")
		return 0
	})
	for name, c := range map[string]struct {
		bytes string
		want  error
	}{
		"another version":                 {string(appendFrame(nil, frameRequest, []byte(`{"version":99}`))), ErrOtherVersion},
		"no version":                      {string(appendFrame(nil, frameRequest, []byte(`{}`))), ErrOtherVersion},
		"no JSON":                         {string(appendFrame(nil, frameRequest, []byte(`{"version":`))), errFrame},
		"another message first":           {string(appendFrame(nil, frameInput, []byte("x"))), errFrame},
		"a web browser":                   {"GET / HTTP/1.1\r\n\r\n", errFrame},
		"an input larger than all may be": {string(appendFrame(nil, frameRequest, []byte(`{"version":1,"inputs":[{"name":"a","size":999999999999}]}`))), errFrame},
		"an input of negative size":       {string(appendFrame(nil, frameRequest, []byte(`{"version":1,"inputs":[{"name":"a","size":-1}]}`))), errFrame},
		"more input than announced":       {string(appendFrame(appendFrame(nil, frameRequest, []byte(`{"version":1,"inputs":[{"name":"a","size":1}]}`)), frameInput, []byte("xx"))), errFrame},
		"inputs of nothing without end":   {string(appendFrame(appendFrame(nil, frameRequest, []byte(`{"version":1,"inputs":[{"name":"a","size":1}]}`)), frameInput, nil)), errFrame},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := dial(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := conn.Write([]byte(c.bytes)); err != nil {
				t.Fatal(err)
			}
			if _, err := receiveAnswer(t.Context(), conn, path, io.Discard, io.Discard); !errors.Is(err, c.want) {
				t.Errorf("the answer is %v, want %v", err, c.want)
			}
		})
	}
}

func TestInterruptingACommand(t *testing.T) {
	t.Parallel()
	for name, tr := range transports() {
		t.Run(name+": its exit code is waited for", func(t *testing.T) {
			t.Parallel()
			begun := make(chan struct{})
			path := daemon(t, tr, nil, func(ctx context.Context, _ Request, s Streams) int {
				close(begun)
				<-ctx.Done()
				fmt.Fprint(s.Stdout, context.Cause(ctx))
				return 130
			})
			conn, err := tr.dial(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			ctx, interrupt := context.WithCancel(t.Context())
			go func() { <-begun; interrupt() }()
			var out bytes.Buffer
			exit, err := exchange(ctx, conn, path, Request{}, &out, io.Discard)
			if exit != 130 || err != nil || out.String() != ErrClientGone.Error() {
				t.Errorf("exchange = %d, %v, printed %q", exit, err, &out)
			}
		})
		t.Run(name+": a client that dies ends it", func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			begun := make(chan struct{})
			path := daemon(t, tr, nil, func(ctx context.Context, _ Request, _ Streams) int {
				close(begun)
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return 0
			})
			conn, err := tr.dial(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if err := sendRequest(conn, Request{}, func() {}); err != nil {
				t.Fatal(err)
			}
			<-begun
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !errors.Is(err, ErrClientGone) {
				t.Errorf("the command ended because of %v", err)
			}
		})
	}
}

func TestPanicIsTheCommandsFailure(t *testing.T) {
	t.Parallel()
	path := daemon(t, transport{listen, dial}, nil, func(context.Context, Request, Streams) int { panic("index out of range") })
	for range 2 {
		exit, _, stderr, err := call(t, transport{listen, dial}, path, Request{})
		if exit != 1 || err != nil || !strings.Contains(stderr, "internal error") {
			t.Errorf("Call = %d, %v, stderr %q", exit, err, stderr)
		}
	}
}

func TestStopWaitsForCommandsAndForNobodyElse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "control.sock")
	s, err := Listen(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	begun, safe := make(chan struct{}), false
	ended := make(chan error, 1)
	go func() {
		ended <- s.Serve(ctx, func(ctx context.Context, _ Request, _ Streams) int {
			close(begun)
			<-ctx.Done()
			safe = true
			return 130
		})
	}()
	silent, err := dial(t.Context(), path) // connects and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	exit := make(chan int, 1)
	go func() {
		code, _ := Call(t.Context(), path, Request{}, io.Discard, io.Discard)
		exit <- code
	}()
	<-begun
	stop()
	if err := <-ended; err != nil || !safe {
		t.Errorf("Serve = %v, the command reached its safe point: %v", err, safe)
	}
	if code := <-exit; code != 130 {
		t.Errorf("the command's client is told %d", code)
	}
	if _, err := Call(t.Context(), path, Request{}, io.Discard, io.Discard); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("after the stop: %v, want ErrNoDaemon", err)
	}
}

func TestManyCommandsAtOnce(t *testing.T) {
	t.Parallel()
	path := daemon(t, transport{listen, dial}, nil, func(_ context.Context, r Request, s Streams) int {
		for range 50 {
			fmt.Fprintln(s.Stdout, r.Args[0])
		}
		return len(r.Args[0])
	})
	done := make(chan error)
	for i := range 40 {
		go func() {
			name := strings.Repeat("x", i+1)
			exit, out, _, err := call(t, transport{listen, dial}, path, Request{Args: []string{name}})
			if err == nil && (exit != i+1 || slices.ContainsFunc(strings.Fields(out), func(w string) bool { return w != name })) {
				err = fmt.Errorf("command %d got exit %d and %q", i, exit, out)
			}
			done <- err
		}()
	}
	for range 40 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestEveryErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, kind := range []error{ErrNotAnswering, ErrOtherConfig, ErrOtherVersion, ErrDenied, ErrBusy, ErrInUse, ErrBroken} {
		e := &Error{Kind: kind, Where: "place", Err: io.ErrUnexpectedEOF}
		if e.Hint() == "" || !errors.Is(e, kind) || !errors.Is(e, io.ErrUnexpectedEOF) || !strings.Contains(e.Error(), "place") {
			t.Errorf("%v: hint %q", e, e.Hint())
		}
	}
}
