package control

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// keySize is the length of keys and of the numbers used once.
const keySize = 32

// dialKeyedWithin bounds connection and mutual proof.
const dialKeyedWithin = 5 * time.Second

// listenKeyed opens a loopback port and writes its address and a fresh key to
// path, which only the owner of the data directory can read.
func listenKeyed(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	conn, err := dialKeyed(context.Background(), path)
	if err == nil {
		_ = conn.Close()
		return nil, &Error{Kind: ErrInUse, Where: path}
	}
	if !errors.Is(err, ErrNoDaemon) && !errors.Is(err, ErrNotAnswering) {
		return nil, err
	}
	tcp, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	key := make([]byte, keySize)
	rand.Read(key) // never fails, by its contract
	text := tcp.Addr().String() + "\n" + hex.EncodeToString(key) + "\n"
	fresh := path + ".new"
	if err := errors.Join(os.WriteFile(fresh, []byte(text), 0o600), os.Rename(fresh, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("control: %w", err), tcp.Close())
	}
	return &keyedListener{Listener: tcp, path: path, key: key}, nil
}

type keyedListener struct {
	net.Listener

	path string
	key  []byte
	once sync.Once
}

// Accept gives a connection whose peer has yet to prove that it knows the key.
func (l *keyedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &keyedConn{Conn: conn, key: l.key}, nil
}

// Close removes the file first: nobody finds a port that does not answer.
func (l *keyedListener) Close() error {
	l.once.Do(func() { _ = os.Remove(l.path) })
	return l.Listener.Close()
}

// keyedConn is a connection on which both sides prove that they know the key:
//
//	daemon  nonce D
//	client  nonce C, HMAC(key, "client" D C)
//	daemon  HMAC(key, "daemon" D C)
type keyedConn struct {
	net.Conn

	key []byte
}

func (c *keyedConn) proof(who string, daemon, client []byte) []byte {
	mac := hmac.New(sha256.New, c.key)
	mac.Write([]byte(who))
	mac.Write(daemon)
	mac.Write(client)
	return mac.Sum(nil)
}

// challenge is the daemon's part.
func (c *keyedConn) challenge() error {
	mine := make([]byte, keySize)
	rand.Read(mine) // never fails, by its contract
	if _, err := c.Write(mine); err != nil {
		return &Error{Kind: ErrDenied, Err: err}
	}
	answer := make([]byte, keySize+sha256.Size)
	if _, err := io.ReadFull(c, answer); err != nil {
		return &Error{Kind: ErrDenied, Err: err}
	}
	theirs := answer[:keySize]
	if !hmac.Equal(answer[keySize:], c.proof("client", mine, theirs)) {
		return &Error{Kind: ErrDenied, Err: errors.New("the peer does not know the key")}
	}
	_, err := c.Write(c.proof("daemon", mine, theirs))
	return err
}

// answer is the client's part. A wrong proof means that something else has the
// port of a daemon that is gone.
func (c *keyedConn) answer() error {
	theirs := make([]byte, keySize)
	if _, err := io.ReadFull(c, theirs); err != nil {
		return err
	}
	mine := make([]byte, keySize)
	rand.Read(mine) // never fails, by its contract
	if _, err := c.Write(append(mine[:keySize:keySize], c.proof("client", theirs, mine)...)); err != nil {
		return err
	}
	proof := make([]byte, sha256.Size)
	if _, err := io.ReadFull(c, proof); err != nil {
		return err
	}
	if !hmac.Equal(proof, c.proof("daemon", theirs, mine)) {
		return errStranger
	}
	return nil
}

// errStranger is met at the port of a daemon that is gone.
var errStranger = errors.New("something else answers at the daemon's port")

// dialKeyed connects to the port that the file at path names.
func dialKeyed(ctx context.Context, path string) (net.Conn, error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{Kind: ErrNoDaemon, Where: path}
	case errors.Is(err, fs.ErrPermission):
		return nil, &Error{Kind: ErrDenied, Where: path}
	case err != nil:
		return nil, fmt.Errorf("control: %w", err)
	}
	address, key, err := parseKeyed(string(text))
	if err != nil {
		// Left by a crash or not ours: no daemon can be reached by it.
		return nil, &Error{Kind: ErrNoDaemon, Where: path, Err: err}
	}
	conn, err := (&net.Dialer{Timeout: dialKeyedWithin}).DialContext(ctx, "tcp", address)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) || isRefused(err) {
			return nil, &Error{Kind: ErrNoDaemon, Where: path}
		}
		return nil, &Error{Kind: ErrNotAnswering, Where: path, Err: err}
	}
	keyed := &keyedConn{Conn: conn, key: key}
	_ = conn.SetDeadline(time.Now().Add(dialKeyedWithin))
	if err := keyed.answer(); err != nil {
		kind := ErrNotAnswering
		if errors.Is(err, errStranger) {
			kind = ErrNoDaemon
		}
		return nil, errors.Join(&Error{Kind: kind, Where: path, Err: err}, conn.Close())
	}
	_ = conn.SetDeadline(time.Time{})
	return keyed, nil
}

// parseKeyed reads the file: a loopback address and a key, a line each.
func parseKeyed(text string) (address string, key []byte, err error) {
	address, rest, _ := strings.Cut(text, "\n")
	host, _, err := net.SplitHostPort(address)
	if err != nil || host != "127.0.0.1" {
		return "", nil, errors.New("the file names no port of this machine")
	}
	key, err = hex.DecodeString(strings.TrimSuffix(rest, "\n"))
	if err != nil || len(key) != keySize {
		return "", nil, errors.New("the file holds no key")
	}
	return address, key, nil
}
