package entra

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzBatch holds that a part of a batch has a status and an id or is refused,
// and that no body is larger than what was read.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{
		`{"responses":[{"id":"0","status":200,"headers":{"Retry-After":"2.128"},"body":{"value":[]}}]}`,
		`{"responses":[{"id":"1","status":429,"body":"e30="},{"id":"0","status":"503"}]}`,
		`{"responses":[]}`, `{"responses":null}`, `{}`, `[]`, "\xef\xbb\xbf{\"responses\":[{\"id\":7,\"status\":200,\"body\":\"12\"}]}",
		`{"responses":[{"id":"0","status":200,"headers":{"a":[1]},"body":{}}]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		seen := 0
		err := decodeBatch(strings.NewReader(text), 1<<20, func(in inner) error {
			seen++
			if in.id == "" || in.status < 100 || in.status > 599 || len(in.body) > len(text) {
				t.Errorf("%+v", in)
			}
			return nil
		})
		if err == nil && seen > 0 && !strings.Contains(text, "responses") && !strings.Contains(text, `\u`) {
			t.Errorf("%d answers out of nothing", seen)
		}
	})
}

// FuzzRefusal holds that whatever an error reply says, its words stay on one
// line, short and free of control characters, and a wait is within its bounds.
func FuzzRefusal(f *testing.F) {
	f.Add(400, `{"error":{"code":"syncStateNotFound","message":"m","innerError":{"code":"x","innererror":{"code":"y"}}}}`, "2.128")
	f.Add(429, `{"error":{"code":7,"message":null}}`, "Wed, 21 Oct 2099 07:28:00 GMT")
	f.Add(410, `{}`, "-1")
	f.Add(403, "<html>\n\x1b[2J", "NaN")
	f.Add(503, `{"error":"text"}`, "1e400")
	f.Fuzz(func(t *testing.T, status int, body, after string) {
		header := http.Header{"Retry-After": {after}}
		if wait := retryAfter(header, time.Unix(0, 0)); wait < 0 || wait > maxGate {
			t.Errorf("a wait of %s for %q", wait, after)
		}
		r := readReply(status, header, strings.NewReader(body))
		err := r.refusal("reading", "X.Read.All")
		if text := err.Error() + err.Hint(); strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) || len(text) > 2000 {
			t.Errorf("%q", text)
		}
	})
}
