package entra

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
)

// Error is what went wrong, in words. It wraps one of the sentinels of package
// directory and, where there is one, the cause.
type Error struct {
	Kind   error  // a sentinel of package directory
	Text   string // what happened, without the kind
	Status int    // HTTP status, 0 when there was no reply
	Code   string // the directory's error code, or AADSTS number
	Cause  error
	hint   string
	// final: waiting will not help although the kind is ErrUnreachable.
	final bool
	// after is the wait that the reply asked for.
	after time.Duration
	// wide: the failure is of the directory as a whole, not of one request.
	wide bool
}

// Error is the kind and the text. Bodies, links and tokens are never part of it.
func (e *Error) Error() string {
	text := e.Kind.Error() + ": " + e.Text
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// Hint says what to do; "" when there is nothing to say.
func (e *Error) Hint() string { return e.hint }

// protocol is an ErrProtocol with a formatted text.
func protocol(format string, args ...any) *Error {
	return &Error{Kind: directory.ErrProtocol, Text: fmt.Sprintf(format, args...)}
}

// reply is what is kept of a reply that is not a success.
type reply struct {
	status  int
	header  http.Header
	codes   []string // error.code and the codes of the innerError chain
	message string   // error.message, one line, cut to 300 bytes
}

// maxErrorBody is how much of an error reply is read.
const maxErrorBody = 64 << 10

// readReply takes what matters from an error reply; body may be {}, HTML, cut
// short or nothing at all.
func readReply(status int, header http.Header, body io.Reader) reply {
	r := reply{status: status, header: header}
	if body == nil {
		return r
	}
	raw, _ := io.ReadAll(io.LimitReader(body, maxErrorBody)) // what was read is enough
	r.parse(raw)
	return r
}

func (r *reply) parse(raw []byte) {
	var envelope struct {
		Error json.RawMessage `json:"error"`
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	if json.Unmarshal(raw, &envelope) != nil {
		return
	}
	next := envelope.Error
	for depth := 0; depth < 8 && len(next) > 0; depth++ {
		var level map[string]json.RawMessage
		if json.Unmarshal(next, &level) != nil {
			return
		}
		next = nil
		for key, value := range level {
			switch strings.ToLower(key) {
			case "code":
				var code string
				if json.Unmarshal(value, &code) == nil && code != "" {
					r.codes = append(r.codes, oneLine(code, 100))
				}
			case "message":
				var text string
				if depth == 0 && json.Unmarshal(value, &text) == nil {
					r.message = oneLine(text, 300)
				}
			case "innererror":
				next = value
			}
		}
	}
}

// has reports whether one of the codes is among names, ignoring case.
func (r reply) has(names ...string) bool {
	for _, code := range r.codes {
		for _, name := range names {
			if strings.EqualFold(code, name) {
				return true
			}
		}
	}
	return false
}

// code is the outermost code, "" when there is none.
func (r reply) code() string {
	if len(r.codes) == 0 {
		return ""
	}
	return r.codes[0]
}

// words describes the reply in one line.
func (r reply) words() string {
	text := fmt.Sprintf("HTTP %d", r.status)
	if name := http.StatusText(r.status); name != "" {
		text += " " + name
	}
	if r.code() != "" {
		text += ", " + r.code()
	}
	if r.message != "" {
		text += ": " + r.message
	}
	if id := r.header.Get("request-id"); id != "" {
		text += " (request-id " + oneLine(id, 64) + ")"
	}
	return text
}

// tokenLost reports whether the reply says that a delta or skip token is no
// longer good (the rule of facts/graph.md, 1.6). A 401, 403, 429 or 5xx never
// does.
func (r reply) tokenLost() bool {
	if r.status == http.StatusGone {
		return true
	}
	if r.status < 400 || r.status > 404 || r.status == http.StatusUnauthorized || r.status == http.StatusForbidden {
		return false
	}
	return r.has("syncStateNotFound", "resyncRequired", "resyncApplyDifferences", "resyncUploadDifferences",
		"Directory_ExpiredPageToken", "SyncStateInvalid")
}

// notFound reports whether the directory itself says that the object asked for
// does not exist; a 404 of something in between does not count.
func (r reply) notFound() bool {
	return r.status == http.StatusNotFound && r.has("Request_ResourceNotFound", "ResourceNotFound", "itemNotFound")
}

// refusal turns a final reply into an error. what names the call and need the
// permission that it takes.
func (r reply) refusal(what, need string) *Error {
	e := &Error{Status: r.status, Code: r.code(), Text: what + " was answered with " + r.words()}
	switch {
	case r.status == http.StatusUnauthorized:
		e.Kind = directory.ErrSignIn
		e.hint = "the token was refused twice: check tenantId, cloud and the application's registration"
	case r.status == http.StatusForbidden:
		e.Kind = directory.ErrForbidden
		e.Text += "; it takes the application permission " + need
		e.hint = "grant the application permission " + need + " in the tenant and give admin consent"
	case transient(r.status), r.status >= 500:
		e.Kind = directory.ErrUnreachable
	case r.status >= 300 && r.status < 400:
		e.Kind = directory.ErrUntrustedLink
		e.Text = what + " was answered with a redirect, which is not followed: " + r.words()
		e.hint = "a proxy or sign-in page may stand between; check endpoints and proxy"
	default:
		e.Kind = directory.ErrProtocol
	}
	return e
}

// oneLine makes text of elsewhere fit for a message: no control characters, at
// most n bytes.
func oneLine(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.TrimSpace(text))
	if len(text) > n {
		text = strings.ToValidUTF8(text[:n], "") + "…"
	}
	return text
}
