package control

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseKeyed(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("ab", keySize)
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"an address and a key":        {"127.0.0.1:1234\n" + key + "\n", true},
		"an empty file":               {"", false},
		"half a file":                 {"127.0.0.1:1234\nabab", false},
		"a key of another length":     {"127.0.0.1:1234\n" + key + "ab\n", false},
		"another machine":             {"192.0.2.1:1234\n" + key + "\n", false},
		"a name that may be anywhere": {"localhost:1234\n" + key + "\n", false},
		"no port":                     {"127.0.0.1\n" + key + "\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := parseKeyed(c.text); (err == nil) != c.ok {
				t.Errorf("parseKeyed = %v, want ok %v", err, c.ok)
			}
		})
	}
}

func TestWithoutTheKeyNothingIsExecuted(t *testing.T) {
	t.Parallel()
	path := daemon(t, transport{listenKeyed, dialKeyed}, nil, func(context.Context, Request, Streams) int {
		t.Error("a command of somebody without the key was executed")
		return 0
	})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	address, _, err := parseKeyed(string(text))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	guess := &keyedConn{Conn: conn, key: bytes.Repeat([]byte{1}, keySize)}
	if err := guess.answer(); err == nil {
		t.Error("a wrong key is taken")
	}
	_ = sendRequest(conn, Request{Args: []string{"sync"}}, func() {})
	rest, _ := io.ReadAll(conn)
	if bytes.Contains(rest, []byte{byte(frameAccept), 0, 0, 0, 0}) {
		t.Error("the request was accepted")
	}
}

// A port of a daemon that died may be taken by anything.
func TestStrangerAtTheDaemonsPort(t *testing.T) {
	t.Parallel()
	stranger, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Close() }()
	got := make(chan []byte, 1)
	go func() {
		conn, err := stranger.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = conn.Write(make([]byte, keySize))
		answer := make([]byte, 2*keySize)
		_, _ = io.ReadFull(conn, answer)
		got <- answer
		_, _ = conn.Write(make([]byte, keySize))
	}()
	key := bytes.Repeat([]byte{7}, keySize)
	path := filepath.Join(t.TempDir(), "control")
	if err := os.WriteFile(path, []byte(stranger.Addr().String()+"\n"+hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dialKeyed(t.Context(), path); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("dial = %v, want ErrNoDaemon", err)
	}
	if bytes.Contains(<-got, key) {
		t.Error("the stranger was told the key")
	}
}
