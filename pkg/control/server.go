package control

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"
)

// Options are what a Server needs.
type Options struct {
	// ConfigDigest gives the digest of the daemon's configuration as it is now.
	ConfigDigest func() string
	Logger       *slog.Logger
}

// Server is the daemon's end.
type Server struct {
	listener  net.Listener
	options   Options
	authorize func(net.Conn) error
}

// Listen opens the endpoint at path, a file name in the data directory, which
// is made (0700) if it is missing. An endpoint left by a daemon that died is
// replaced; one that answers is ErrInUse.
func Listen(path string, o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	listener, err := listen(path)
	if err != nil {
		return nil, err
	}
	return &Server{listener: listener, options: o, authorize: authorize}, nil
}

// Close gives the endpoint free. Serve does so too when it ends.
func (s *Server) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// Serve executes commands until ctx is done, then cancels those under way,
// waits for their safe points and closes the endpoint. It is called once.
func (s *Server) Serve(ctx context.Context, handler Handler) error {
	var commands sync.WaitGroup
	defer commands.Wait()
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	places := make(chan struct{}, maxClients)
	for pause := time.Duration(0); ; {
		conn, err := s.listener.Accept()
		switch {
		case err == nil:
			pause = 0
		case errors.Is(err, net.ErrClosed):
			return nil
		default:
			// Out of file handles, most likely: it passes.
			pause = min(max(2*pause, 10*time.Millisecond), time.Second)
			s.options.Logger.Warn("a command could not connect", "error", err, "again", pause.String())
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		commands.Go(func() {
			defer func() { _ = conn.Close() }()
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
				s.serve(ctx, conn, handler)
			default:
				refuse(conn, refusedBusy, "")
			}
		})
	}
}

// serve executes one client's command.
func (s *Server) serve(ctx context.Context, conn net.Conn, handler Handler) {
	// A stop must not wait for a client that connects and says nothing.
	greeted := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	deadline(conn.SetReadDeadline, requestWithin)
	deadline(conn.SetWriteDeadline, writeWithin)
	if err := s.authorize(conn); err != nil {
		s.options.Logger.Warn("a command was refused", "error", err)
		refuse(conn, refusedUser, err.Error())
		return
	}
	request, no, err := s.receive(conn)
	if no.Reason != "" {
		refuse(conn, no.Reason, no.Message)
		return
	}
	if err != nil || !greeted() {
		return // left, or we are stopping; nothing was begun
	}
	_ = conn.SetReadDeadline(time.Time{})

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := &sender{conn: conn, cancel: cancel}
	if out.send(frameAccept, nil) != nil {
		return
	}
	var watchers sync.WaitGroup
	watchers.Go(func() { watch(conn, cancel) })
	watchers.Go(func() { out.ping(ctx) })
	exit := s.execute(ctx, handler, request, out)
	var code [4]byte
	binary.BigEndian.PutUint32(code[:], uint32(exit))
	_ = out.send(frameExit, code[:])
	cancel(nil)
	_ = conn.SetReadDeadline(time.Unix(1, 0)) // ends watch
	watchers.Wait()
}

// execute calls the handler; a panic is the command's failure, not the daemon's.
func (s *Server) execute(ctx context.Context, handler Handler, request Request, out *sender) (exit int) {
	defer func() {
		if p := recover(); p != nil {
			s.options.Logger.Error("a command panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			_ = out.send(frameStderr, []byte("internal error, a fault of vaultsync (the daemon's log has its place)\n"))
			exit = 1
		}
	}()
	return handler(ctx, request, Streams{Stdout: stream{out, frameStdout}, Stderr: stream{out, frameStderr}})
}

// receive reads a request with its inputs. A refusal with a reason is to be
// sent; an error alone means that the client left.
func (s *Server) receive(conn net.Conn) (Request, refusal, error) {
	kind, payload, err := readFrame(conn)
	if err != nil {
		if errors.Is(err, errFrame) {
			return Request{}, refusal{refusedRequest, err.Error()}, nil
		}
		return Request{}, refusal{}, err
	}
	if kind == frameCancel {
		return Request{}, refusal{}, ErrClientGone
	}
	if kind != frameRequest {
		return Request{}, refusal{refusedRequest, "the first message is not a request"}, nil
	}
	var h hello
	if malformed := json.Unmarshal(payload, &h); malformed != nil {
		return Request{}, refusal{refusedRequest, malformed.Error()}, nil //nolint:nilerr // the refusal carries it
	}
	if h.Version != version {
		return Request{}, refusal{refusedVersion, fmt.Sprintf("the command speaks version %d, the daemon %d", h.Version, version)}, nil
	}
	if s.options.ConfigDigest != nil && h.ConfigDigest != "" && h.ConfigDigest != s.options.ConfigDigest() {
		return Request{}, refusal{refusedConfig, ""}, nil
	}
	request := h.Request
	request.Inputs, err = receiveInputs(conn, h.Inputs)
	if errors.Is(err, errFrame) {
		return Request{}, refusal{refusedRequest, err.Error()}, nil
	}
	return request, refusal{}, err
}

// receiveInputs reads the inputs announced. Memory is taken as they come, not
// as they are announced.
func receiveInputs(r io.Reader, sizes []inputSize) ([]Input, error) {
	var inputs []Input
	total := 0
	for _, size := range sizes {
		if size.Size < 0 || size.Size > maxInputs-total {
			return nil, fmt.Errorf("%w: inputs of more than %d MB", errFrame, maxInputs>>20)
		}
		total += size.Size
		input := Input{Name: size.Name}
		for len(input.Data) < size.Size {
			kind, payload, err := readFrame(r)
			if err != nil {
				return nil, err
			}
			if kind != frameInput || len(payload) == 0 || len(payload) > size.Size-len(input.Data) {
				return nil, fmt.Errorf("%w: the input %q is not as announced", errFrame, size.Name)
			}
			input.Data = append(input.Data, payload...)
		}
		inputs = append(inputs, input)
	}
	return inputs, nil
}

// watch cancels the command when its client asks for it, or is gone.
func watch(conn net.Conn, cancel context.CancelCauseFunc) {
	for {
		kind, _, err := readFrame(conn)
		if err != nil || kind == frameCancel {
			cancel(ErrClientGone)
		}
		if err != nil {
			return
		}
	}
}

func refuse(conn net.Conn, reason, message string) {
	payload, err := json.Marshal(refusal{reason, message})
	if err != nil {
		return
	}
	deadline(conn.SetWriteDeadline, writeWithin)
	if writeFrame(conn, frameRefuse, payload) != nil {
		return
	}
	// Closing on unread inputs could take the refusal from the client.
	deadline(conn.SetReadDeadline, lingerFor)
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxInputs))
}

// sender writes frames to one client, one at a time, until one cannot be
// written; from then on the client counts as gone.
type sender struct {
	conn   net.Conn
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	failed error
}

func (s *sender) send(kind frameKind, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(kind, payload)
}

// write sends one frame. The lock is held.
func (s *sender) write(kind frameKind, payload []byte) error {
	if s.failed != nil {
		return s.failed
	}
	deadline(s.conn.SetWriteDeadline, writeWithin)
	if err := writeFrame(s.conn, kind, payload); err != nil {
		s.failed = errors.Join(ErrClientGone, err)
		s.cancel(s.failed)
	}
	return s.failed
}

// ping shows the client that the daemon is there while a command is silent.
func (s *sender) ping(ctx context.Context) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// While another frame is being written there is no need for one.
			if s.mu.TryLock() {
				err := s.write(framePing, nil)
				s.mu.Unlock()
				if err != nil {
					return
				}
			}
		}
	}
}

// stream is one of a command's outputs.
type stream struct {
	to   *sender
	kind frameKind
}

// Write sends p in pieces.
func (s stream) Write(p []byte) (n int, err error) {
	for n < len(p) {
		piece := p[n:min(n+maxChunk, len(p))]
		if err := s.to.send(s.kind, piece); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

// deadline sets one from now; a connection that cannot have one fails at its
// next use anyway.
func deadline(set func(time.Time) error, within time.Duration) { _ = set(time.Now().Add(within)) }
