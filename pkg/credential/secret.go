package credential

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

// Secret is one line of text that lives in a file or an environment variable
// and is read again when the file has changed. Set Key and either File or Env
// before the first Read. It is safe for several goroutines.
type Secret struct {
	Key  string // what the setting is called, for errors
	File string
	Env  string
	// LookupEnv reads an environment variable; nil is os.LookupEnv.
	LookupEnv func(name string) (string, bool)

	mu    sync.Mutex
	text  string
	stamp Stamp
}

// Read is the secret as it is now. Its errors are *Error.
func (s *Secret) Read() (string, error) {
	if s.Env != "" {
		return s.fromEnv()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text != "" && StampOf(s.File) == s.stamp {
		return s.text, nil
	}
	data, stamp, err := readSecret(s.Key, s.File)
	if err != nil {
		return "", err
	}
	text, err := Line(s.Key, data)
	if err != nil {
		return "", err
	}
	s.text, s.stamp = text, stamp
	return text, nil
}

func (s *Secret) fromEnv() (string, error) {
	lookup := s.LookupEnv
	if lookup == nil {
		lookup = os.LookupEnv
	}
	value, found := lookup(s.Env)
	if !found {
		return "", &Error{Place: s.Key, Text: fmt.Sprintf("the environment variable %s is not set", s.Env), Fix: "set it for the account that runs vaultsync"}
	}
	return Line(s.Key, []byte(value))
}

// Forget makes the next Read go to the file, whatever its time stamp says.
func (s *Secret) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = ""
}

// Line is the one line of a secret, without what editors add around it: a byte
// order mark and line ends. Blanks may belong to it. A line end inside would
// end up in a header, or is a second secret.
func Line(key string, data []byte) (string, error) {
	data = bytes.TrimRight(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), "\r\n")
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return "", &Error{Place: key, Text: "there is no secret in it", Fix: "write the secret alone, on one line"}
	case bytes.ContainsAny(data, "\r\n\x00"):
		return "", &Error{Place: key, Text: "there is more than one line in it", Fix: "write the secret alone, on one line"}
	}
	return string(data), nil
}
