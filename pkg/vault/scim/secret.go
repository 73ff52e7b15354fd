package scim

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"
)

// maxSecret is the largest secret read, in bytes.
const maxSecret = 1 << 20

// secret is text that lives in a file or an environment variable and is read
// again when the file has changed. It is safe for several goroutines.
type secret struct {
	key  string // what the setting is called, for errors
	file string
	env  string

	mu       sync.Mutex
	text     string
	size     int64
	modified time.Time
}

// read is the secret as it is now.
func (s *secret) read() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.env != "" {
		value, found := os.LookupEnv(s.env)
		if !found {
			return "", &Error{Place: s.key, Text: fmt.Sprintf("the environment variable %s is not set", s.env), Fix: "set it for the account that runs vaultsync", kind: errSignIn}
		}
		return s.trim([]byte(value))
	}
	info, err := os.Stat(s.file)
	if err != nil {
		return "", s.fault(err)
	}
	if s.text != "" && info.Size() == s.size && info.ModTime().Equal(s.modified) {
		return s.text, nil
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o006 != 0 {
		return "", &Error{
			Place: s.key, Text: fmt.Sprintf("every user of this machine may read or write %s (mode %04o)", s.file, info.Mode().Perm()),
			Fix: "run: chmod 600 " + s.file, kind: errSignIn,
		}
	}
	file, err := os.Open(s.file)
	if err != nil {
		return "", s.fault(err)
	}
	defer file.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(file, maxSecret))
	if err != nil {
		return "", s.fault(err)
	}
	text, err := s.trim(data)
	if err != nil {
		return "", err
	}
	s.text, s.size, s.modified = text, info.Size(), info.ModTime()
	return text, nil
}

// forget makes the next read go to the file, whatever its time stamp says.
func (s *secret) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = ""
}

func (s *secret) fault(err error) error {
	return &Error{Place: s.key, Text: "the secret cannot be read", Fix: "check the file and who may read it", kind: errSignIn, cause: err}
}

// trim takes off what editors add. A line end inside would end up in a header.
func (s *secret) trim(data []byte) (string, error) {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	if len(data) == 0 || bytes.ContainsAny(data, "\r\n\x00") {
		return "", &Error{Place: s.key, Text: "there is no secret in it, or more than one line", Fix: "write the secret alone, on one line", kind: errSignIn}
	}
	return string(data), nil
}
