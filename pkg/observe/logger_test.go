package observe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
)

const canary = "cAnArY-5f1e9d2b7a60"

func TestLevelsAndFormats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, level string
		want        string
	}{
		{"debug lets everything through", "debug", "d i w e"},
		{"info is the default", "", "i w e"},
		{"info leaves debug out", "info", "i w e"},
		{"warn in capitals is warn", "WARN", "w e"},
		{"error leaves the rest out", "error", "e"},
		{"an unknown level is info", "loud", "i w e"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, format := range []string{"text", "json"} {
				var b bytes.Buffer
				log := NewLogger(&b, c.level, format)
				log.Debug("d")
				log.Info("i")
				log.Warn("w")
				log.Error("e")
				var got []string
				for line := range strings.Lines(b.String()) {
					got = append(got, messageOf(t, format, line))
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("%s: got %q, want %q", format, got, c.want)
				}
			}
		})
	}
}

func messageOf(t *testing.T, format, line string) string {
	t.Helper()
	if format == "json" {
		var record struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		return record.Msg
	}
	_, msg, _ := strings.Cut(strings.TrimSpace(line), "msg=")
	return msg
}

func TestTimesAreUTC(t *testing.T) {
	t.Parallel()
	moment := time.Date(2026, 3, 1, 2, 0, 0, 0, time.FixedZone("", 2*3600))
	for _, format := range []string{"text", "json"} {
		var b bytes.Buffer
		NewLogger(&b, "info", format).Info("m", "next", moment, "ptr", &moment)
		if line := b.String(); strings.Contains(line, "+02:00") || !strings.Contains(line, "2026-03-01T00:00:00") {
			t.Errorf("%s: %s", format, line)
		}
	}
}

type explosive struct{}

func (*explosive) Error() string { panic(canary) }

type spelled struct{ text string }

func (s spelled) String() string { return s.text }

type credentials struct {
	Tenant   string
	Password string
	Nested   []map[string]string
	Expires  bool
}

func (c credentials) LogValue() slog.Value {
	return slog.GroupValue(slog.String("tenant", c.Tenant), slog.String("password", c.Password))
}

func TestNoSecretReachesALog(t *testing.T) {
	t.Parallel()
	type plain credentials // without LogValue
	jwt := "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0." + canary
	for _, c := range []struct {
		name string
		log  func(*slog.Logger)
	}{
		{"an attribute named password", func(l *slog.Logger) { l.Info("m", "password", canary) }},
		{"an attribute named in camel case", func(l *slog.Logger) { l.Info("m", "clientSecret", canary) }},
		{"an attribute named in snake case and capitals", func(l *slog.Logger) { l.Info("m", slog.String("ACCESS_TOKEN", canary)) }}, //nolint:sloglint // the point of the case
		{"an attribute named as a header", func(l *slog.Logger) { l.Info("m", slog.Any("Proxy-Authorization", []string{canary})) }},  //nolint:sloglint // the point of the case
		{"an attribute of With", func(l *slog.Logger) { l.With("apiKey", canary).Info("m") }},
		{"a member of a group named credential", func(l *slog.Logger) { l.WithGroup("credential").Info("m", "value", canary) }},
		{"an error named password", func(l *slog.Logger) { l.Info("m", "password", canaryError{}) }},
		{"a LogValuer's member", func(l *slog.Logger) { l.Info("m", "who", credentials{Tenant: "contoso", Password: canary}) }},
		{"a struct's field", func(l *slog.Logger) { l.Info("m", "who", plain{Password: canary}) }},
		{"a map inside a struct", func(l *slog.Logger) {
			l.Info("m", "who", &plain{Nested: []map[string]string{{"refresh_token": canary}}})
		}},
		{"headers", func(l *slog.Logger) { l.Info("m", "header", http.Header{"Authorization": {"Bearer " + canary}}) }},
		{"form values", func(l *slog.Logger) { l.Info("m", "form", url.Values{"client_secret": {canary}}) }},
		{"a form inside an error", func(l *slog.Logger) {
			l.Info("m", KeyError, fmt.Errorf("post %q: refused", "grant_type=x&client_secret="+canary+"&scope=y"))
		}},
		{"a delta token inside a URL inside an error", func(l *slog.Logger) {
			l.Info("m", KeyError, &url.Error{Op: "Get", URL: "https://graph.example/users/delta?$deltatoken=" + canary, Err: errors.New("x")})
		}},
		{"an escaped skip token", func(l *slog.Logger) { l.Info("m", "url", "https://g.example/?%24skiptoken="+canary) }},
		{"a JSON reply inside an error", func(l *slog.Logger) {
			l.Info("m", KeyError, errors.New(`reply {"access_token": "`+canary+`"}`))
		}},
		{"a JSON reply quoted inside an error", func(l *slog.Logger) {
			l.Info("m", KeyError, fmt.Errorf("reply %q", `{"access_token":"a\"`+canary+`"}`))
		}},
		{"a JSON web token in the message", func(l *slog.Logger) { l.Info("refused " + jwt) }}, //nolint:sloglint // the point of the case
		{"a header in a value", func(l *slog.Logger) { l.Info("m", "sent", "Authorization: Basic "+canary) }},
		{"a long bearer in a value", func(l *slog.Logger) { l.Info("m", "sent", "bearer "+canary+canary) }},
		{"the password of a proxy", func(l *slog.Logger) { l.Info("m", "proxy", "http://user:"+canary+"@proxy.contoso.com:3128") }},
		{"the password of a proxy as a URL", func(l *slog.Logger) {
			l.Info("m", "proxy", &url.URL{Scheme: "http", User: url.UserPassword("u", canary), Host: "proxy.contoso.com"})
		}},
		{"a private key", func(l *slog.Logger) {
			l.Info("m", "pem", "-----BEGIN PRIVATE KEY-----\n"+canary+"\n-----END PRIVATE KEY-----")
		}},
		{"a Stringer", func(l *slog.Logger) { l.Info("m", "v", spelled{"password=" + canary}) }},
		{"a value that panics", func(l *slog.Logger) { l.Info("m", KeyError, &explosive{}) }},
		{"a value that cannot be encoded", func(l *slog.Logger) {
			l.Info("m", "v", struct {
				F func()
				S string
			}{S: canary})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, format := range []string{"text", "json"} {
				var b bytes.Buffer
				c.log(NewLogger(&b, "debug", format))
				if strings.Contains(b.String(), canary) {
					t.Errorf("%s tells the secret: %s", format, &b)
				}
				if strings.Count(b.String(), "\n") != 1 {
					t.Errorf("%s: not one line: %q", format, &b)
				}
			}
		})
	}
}

type canaryError struct{}

func (canaryError) Error() string { return canary }

func TestWhatIsNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, key string
		value     any
		want      string
	}{
		{"where a secret is", "secretFile", "contoso.secret", "contoso.secret"},
		{"how a secret's error reads", KeyError, errors.New("read the password: permission denied"), "read the password: permission denied"},
		{"a moment in a token's life", "tokenSince", 3 * time.Minute, "3m"},
		{"whether there is one", "passwordSet", true, "true"},
		{"a vault", KeyVault, "sales", "sales"},
		{"a number", "count", 17, "17"},
		{"a person's id", KeyPerson, "8a4b0d3e-0000-4000-8000-000000000001", "8a4b0d3e-0000-4000-8000-000000000001"},
		{"a URL with a port", "url", "https://login.contoso.com:443/x@y", "https://login.contoso.com:443/x@y"},
		{"joined errors", KeyError, errors.Join(errors.New("one"), errors.New("two")), "two"},
		{"a list", "groups", []string{"Sales", "Support"}, "Support"},
		{"nothing", "v", nil, ""},
		{"a nil error of a type", KeyError, (*explosive)(nil), ""},
		{"bearer as a word", "why", "a bearer token is missing", "a bearer token is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, format := range []string{"text", "json"} {
				var b bytes.Buffer
				NewLogger(&b, "info", format).Info("m", c.key, c.value)
				line := b.String()
				if c.key == "tokenSince" && format == "json" {
					continue // durations are numbers there
				}
				if !strings.Contains(line, c.want) || strings.Contains(line, redacted) {
					t.Errorf("%s: %s lacks %q", format, line, c.want)
				}
			}
		})
	}
}

func TestSeveralPrivateKeysAreAllTakenOut(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN RSA PRIVATE KEY-----\n" + canary + "\n-----END RSA PRIVATE KEY-----\n"
	if got := scrub(key + "between " + key + "-----BEGIN PRIVATE KEY-----\n" + canary); strings.Contains(got, canary) || !strings.Contains(got, "between") {
		t.Errorf("got %q", got)
	}
}

func TestALongValueIsCutAtARune(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	NewLogger(&b, "info", "json").Info("m", "body", strings.Repeat("ä", longest)+"x")
	if b.Len() > longest+500 {
		t.Errorf("%d bytes were logged", b.Len())
	}
	if !strings.Contains(b.String(), "bytes more)") || strings.Contains(b.String(), "\uFFFD") {
		t.Errorf("the end is %q", b.String()[b.Len()-80:])
	}
}

func FuzzOneRecordIsOneVisibleLine(f *testing.F) {
	f.Add("k", "v\nlevel=ERROR msg=forged")
	f.Add("k\n", "\x1b[2J\u202e\u0085\u2028\x7f\x9b")
	f.Add("", "\xff\xfe\x00")
	f.Add("password", `"access_token":"`)
	f.Add("err", "Authorization: [Bearer eyJaaaaaaaaa.b.c] ://a:b@c")
	f.Fuzz(func(t *testing.T, key, value string) {
		for _, format := range []string{"text", "json"} {
			var b bytes.Buffer
			log := NewLogger(&b, "info", format)
			log.WithGroup("g").With(key, value).Info(value, key, value, "err", errors.New(value), "any", map[string]string{key: value}) //nolint:sloglint // whatever it is
			line, rest, ended := strings.Cut(b.String(), "\n")
			if !ended || rest != "" {
				t.Fatalf("%s: not one line: %q", format, &b)
			}
			if format == "json" && !json.Valid([]byte(line)) {
				t.Fatalf("not JSON: %q", line)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("%s has what cannot be printed: %q", format, line)
			}
		}
	})
}
