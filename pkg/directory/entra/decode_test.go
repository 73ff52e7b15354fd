package entra

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

const (
	idA = "c2f798fd-0000-4623-8824-000000000001"
	idB = "693acd06-0000-4339-8ade-000000000001"
)

func mustID(text string) identity.ObjectID {
	id, err := identity.ParseObjectID(text)
	if err != nil {
		panic(err)
	}
	return id
}

func TestGroupPages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want string // of the first group
	}{
		"documented":                         {`{"@odata.context":"x","@odata.deltaLink":"d","value":[{"displayName":"A","id":"` + idA + `","members@delta":[{"@odata.type":"#microsoft.graph.user","id":"` + idB + `"}]}]}`, "A [person]"},
		"links after the value":              {`{"value":[{"id":"` + idA + `"}],"@odata.nextLink":"n"}`, "- []"},
		"@removed before the id":             {`{"value":[{"@removed":{"reason":"changed"},"id":"` + idA + `"}],"@odata.nextLink":"n"}`, "- [] soft"},
		"a group deleted for good":           {`{"value":[{"id":"` + idA + `","@removed":{"reason":"deleted"}}],"@odata.nextLink":"n"}`, "- [] gone"},
		"a member removed, type after":       {`{"value":[{"members@delta":[{"@removed":{"reason":"deleted"},"id":"` + idB + `","@odata.type":"#microsoft.graph.group"}],"id":"` + idA + `"}],"@odata.nextLink":"n"}`, "- [-group]"},
		"a removed member of unknown type":   {`{"value":[{"members@delta":[{"@removed":{},"id":"` + idB + `"}],"id":"` + idA + `"}],"@odata.nextLink":"n"}`, "- [-other]"},
		"members are null":                   {`{"value":[{"members@delta":null,"id":"` + idA + `"}],"@odata.nextLink":"n"}`, "- []"},
		"null and unknown keys":              {`{"x":{"y":[1,{"z":null}]},"value":[{"displayName":null,"@removed":null,"q":[[]],"id":"` + strings.ToUpper(idA) + `"}],"@odata.nextLink":"n","@odata.deltaLink":null}`, "- []"},
		"a byte order mark and white space":  {"\xef\xbb\xbf \r\n" + `{"value":[{"id":"` + idA + `"}],"@odata.nextLink":"n"}` + "\n ", "- []"},
		"escapes and text that is not UTF-8": {`{"value":[{"displayName":"\u00e9` + "\xff" + `","id":"` + idA + `"}],"@odata.nextLink":"n"}`, "é\ufffd []"},
		"hidden membership":                  {`{"value":[{"visibility":"HiddenMembership","id":"` + idA + `"}],"@odata.nextLink":"n"}`, "- [] hidden"},
		"public membership":                  {`{"value":[{"visibility":null,"id":"` + idA + `"}],"@odata.nextLink":"n"}`, "- [] open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, in := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text)), iotest.DataErrReader(strings.NewReader(c.text))} {
				p, err := readPage(in, pageRules{hidden: true})
				if err != nil {
					t.Fatal(err)
				}
				if len(p.Groups) != 1 || p.Groups[0].ID != mustID(idA) || describe(p.Groups[0]) != c.want {
					t.Errorf("got %s, want %s", describe(p.Groups[0]), c.want)
				}
			}
		})
	}
}

func describe(g directory.GroupChange) string {
	name := "-"
	if g.Name != nil {
		name = *g.Name
	}
	var members []string
	for _, m := range g.Members {
		word := [...]string{"other", "person", "group"}[m.Kind]
		if m.Removed {
			word = "-" + word
		}
		members = append(members, word)
	}
	text := fmt.Sprintf("%s %v", name, members)
	text += [...]string{"", " soft", " gone"}[g.Removal]
	if g.Hidden != nil {
		text += map[bool]string{true: " hidden", false: " open"}[*g.Hidden]
	}
	return text
}

func TestPagesThatAreRefused(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	for name, text := range map[string]string{
		"nothing":                 ``,
		"white space":             "  ",
		"null":                    `null`,
		"an array":                `[]`,
		"{}":                      `{}`,
		"no value":                `{"@odata.deltaLink":"d"}`,
		"value null":              `{"@odata.deltaLink":"d","value":null}`,
		"value an object":         `{"@odata.deltaLink":"d","value":{}}`,
		"no link":                 `{"value":[]}`,
		"empty links":             `{"value":[],"@odata.deltaLink":"","@odata.nextLink":""}`,
		"both links":              `{"value":[],"@odata.deltaLink":"d","@odata.nextLink":"n"}`,
		"a link that is a number": `{"value":[],"@odata.deltaLink":1}`,
		"a group without id":      `{"value":[{"displayName":"A"}],"@odata.deltaLink":"d"}`,
		"a group that is null":    `{"value":[null],"@odata.deltaLink":"d"}`,
		"an id that is no GUID":   `{"value":[{"id":"x"}],"@odata.deltaLink":"d"}`,
		"an id of zeros":          `{"value":[{"id":"00000000-0000-0000-0000-000000000000"}],"@odata.deltaLink":"d"}`,
		"an id that is null":      `{"value":[{"id":null}],"@odata.deltaLink":"d"}`,
		"a member without id":     `{"value":[{"id":"` + idA + `","members@delta":[{}]}],"@odata.deltaLink":"d"}`,
		"members an object":       `{"value":[{"id":"` + idA + `","members@delta":{}}],"@odata.deltaLink":"d"}`,
		"a member that is text":   `{"value":[{"id":"` + idA + `","members@delta":["x"]}],"@odata.deltaLink":"d"}`,
		"@removed true":           `{"value":[{"id":"` + idA + `","@removed":true}],"@odata.deltaLink":"d"}`,
		"value twice":             `{"value":[],"value":[],"@odata.deltaLink":"d"}`,
		"something behind":        `{"value":[],"@odata.deltaLink":"d"}{}`,
		"HTML":                    `<html><body>Sign in</body></html>`,
		"nested too deep":         `{"x":` + deep + `,"value":[],"@odata.deltaLink":"d"}`,
		"a name too long":         `{"value":[{"id":"` + idA + `","displayName":"` + strings.Repeat("x", 4<<20) + `"}],"@odata.deltaLink":"d"}`,
	} {
		t.Run(name+" is an error, never an empty page", func(t *testing.T) {
			t.Parallel()
			p, err := readPage(strings.NewReader(text), pageRules{})
			if !errors.Is(err, directory.ErrProtocol) || p != nil {
				t.Errorf("got %v, %v", p, err)
			}
		})
	}
	whole := `{"@odata.deltaLink":"d","value":[{"displayName":"A","id":"` + idA + `","members@delta":[{"id":"` + idB + `"}]}]}`
	for n := range len(whole) {
		if _, err := readPage(strings.NewReader(whole[:n]), pageRules{}); !errors.Is(err, directory.ErrProtocol) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	broken := errors.New("connection reset")
	if _, err := readPage(io.MultiReader(strings.NewReader(whole[:40]), iotest.ErrReader(broken)), pageRules{}); !errors.Is(err, broken) {
		t.Errorf("an error of the network: %v", err)
	}
}

func TestPeople(t *testing.T) {
	t.Parallel()
	sel := newSelection([]string{
		"accountEnabled", "businessPhones", "department", "employeeNumber", "mail",
		"onPremisesExtensionAttributes.extensionAttribute1", "onPremisesExtensionAttributes.extensionAttribute2",
	})
	if got := strings.Join(sel.properties(), ","); got != "id,accountEnabled,businessPhones,department,employeeNumber,mail,onPremisesExtensionAttributes" {
		t.Errorf("$select=%s", got)
	}
	const e1, e2 = "onPremisesExtensionAttributes.extensionAttribute1", "onPremisesExtensionAttributes.extensionAttribute2"
	for name, c := range map[string]struct {
		text         string
		first, later map[string]string
	}{
		"types":           {`"accountEnabled":false,"employeeNumber":17,"businessPhones":["1","2",null],"mail":"a@contoso.com"`, map[string]string{"accountEnabled": "false", "employeeNumber": "17", "businessPhones": "1,2", "mail": "a@contoso.com"}, nil},
		"null":            {`"mail":null,"department":""`, map[string]string{}, map[string]string{"mail": "", "department": ""}},
		"nested":          {`"onPremisesExtensionAttributes":{"extensionAttribute9":"q","extensionAttribute1":"x","extensionAttribute2":null}`, map[string]string{e1: "x"}, map[string]string{e1: "x", e2: ""}},
		"nested null":     {`"onPremisesExtensionAttributes":null`, map[string]string{}, map[string]string{e1: "", e2: ""}},
		"nested and text": {`"onPremisesExtensionAttributes":"x"`, map[string]string{}, map[string]string{e1: "", e2: ""}},
		"absent":          {`"other":1`, map[string]string{}, map[string]string{}},
		"empty array":     {`"businessPhones":[]`, map[string]string{}, map[string]string{"businessPhones": ""}},
		"objects":         {`"businessPhones":[{"a":1},"2"]`, map[string]string{"businessPhones": "2"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, later := range []bool{false, true} {
				want := c.first
				if later && c.later != nil {
					want = c.later
				}
				p, err := readPage(strings.NewReader(`{"@odata.nextLink":"n","value":[{`+c.text+`,"id":"`+idA+`"}]}`), pageRules{people: sel, later: later})
				if err != nil {
					t.Fatal(err)
				}
				if got := p.People[0].Attributes; !maps.Equal(got, want) {
					t.Errorf("later %v: got %v, want %v", later, got, want)
				}
			}
		})
	}
}

func TestErrorReplies(t *testing.T) {
	t.Parallel()
	for text, lost := range map[string]bool{
		`{"error":{"code":"SyncStateNotFound","message":"x"}}`:                                                    true,
		`{"error":{"message":"x","innerError":{"code":"a","innererror":{"code":"RESYNCREQUIRED"}},"code":"bad"}}`: true,
		`{"error":{"code":"BadRequest"}}`:                                                                         false,
		`{}`:                                                                                                      false, ``: false, `<html>`: false, `{"error":"x"}`: false, `{"error":{"code":5}}`: false, `[1]`: false, `{"error":null}`: false,
	} {
		r := readReply(400, http.Header{}, strings.NewReader(text))
		if r.tokenLost() != lost {
			t.Errorf("%s: lost %v", text, !lost)
		}
		if err := r.refusal("a call", needUsers); err.Error() == "" || strings.ContainsAny(err.Error(), "\n\r\x1b") {
			t.Errorf("%s: %q", text, err)
		}
	}
	for _, status := range []int{401, 403, 429, 500, 503} {
		r := readReply(status, http.Header{}, strings.NewReader(`{"error":{"code":"syncStateNotFound"}}`))
		if r.tokenLost() {
			t.Errorf("%d lost the token", status)
		}
	}
	r := readReply(400, nil, strings.NewReader(`{"error":{"code":"x","message":"a\u001b[31m\nb\u2028"}}`))
	if got := r.words(); strings.ContainsAny(got, "\n\x1b\u2028") {
		t.Errorf("%q", got)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"7": 7 * time.Second, "2.128": 2128 * time.Millisecond, "0": 0, "": 0, "-3": 0, "soon": 0, "NaN": 0, "1e99": maxGate, "Inf": maxGate, "3600": time.Hour,
		"Thu, 01 Jan 2026 00:00:09 GMT": 9 * time.Second, "Wed, 31 Dec 2025 00:00:00 GMT": 0, "Thu, 01 Jan 2099 00:00:00 GMT": maxGate,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(`{"@odata.deltaLink":"d","value":[{"displayName":"A","id":"` + idA + `","members@delta":[{"id":"` + idB + `","@removed":{"reason":"deleted"}}]}]}`))
	f.Add([]byte(`{"value":[{"id":"` + idA + `","a":{"b":[1,true,null]},"mail":["x"]}],"@odata.nextLink":"n"}`))
	f.Add([]byte("\xef\xbb\xbf{}"))
	sel := newSelection([]string{"mail", "a.b", "a", "a.c.d"})
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, rules := range []pageRules{{}, {people: sel}, {people: sel, later: true}, {plain: true, hidden: true}} {
			p, err := readPage(strings.NewReader(string(raw)), rules)
			if err != nil {
				if !errors.Is(err, directory.ErrProtocol) {
					t.Fatalf("not of the protocol: %v", err)
				}
				continue
			}
			if (p.next == "") == (p.delta == "") && !rules.plain {
				t.Fatal("a page without or with two links")
			}
			for _, g := range p.Groups {
				if g.ID.IsZero() {
					t.Fatal("a group without id")
				}
			}
			for _, c := range p.People {
				for path, value := range c.Attributes {
					if value == "" && !rules.later {
						t.Fatalf("%s is empty in a first round", path)
					}
				}
			}
		}
		_ = decodeBatch(strings.NewReader(string(raw)), 1<<20, func(inner) error { return nil })
		r := readReply(400, nil, strings.NewReader(string(raw)))
		_ = r.refusal("x", "y").Error()
		_ = parseClaims(string(raw))
	})
}

func FuzzLink(f *testing.F) {
	b, err := parseBase("graph", "https://graph.microsoft.com/v1.0")
	if err != nil {
		f.Fatal(err)
	}
	for _, link := range []string{"https://graph.microsoft.com/v1.0/users/delta?$deltatoken=a", "https://GRAPH.microsoft.com:443/v1.0/users/delta()?x", "https://graph.microsoft.com@evil/v1.0/users/delta", "https://graph.microsoft.com/v1.0/users/delta/../x", "https://graph.microsoft.com\\.evil/v1.0/users/delta"} {
		f.Add(link)
	}
	f.Fuzz(func(t *testing.T, link string) {
		relative, err := b.deltaLink("users", link)
		if err != nil {
			if !errors.Is(err, directory.ErrUntrustedLink) && !errors.Is(err, directory.ErrProtocol) {
				t.Fatalf("%v", err)
			}
			return
		}
		if !strings.HasPrefix(strings.ToLower(relative), "/users/") {
			t.Fatalf("%q became %q", link, relative)
		}
		// What the batch asks for is what the single request would ask for.
		again, err := b.deltaLink("users", b.String()+relative)
		if err != nil || again != relative {
			t.Fatalf("%q: %q then %q, %v", link, relative, again, err)
		}
	})
}

// BenchmarkDecodePage measures pages of groups and of people; B/s is what
// matters, for a first import is bound by it.
func BenchmarkDecodePage(b *testing.B) {
	var members, people strings.Builder
	for i := range 20_000 {
		if i > 0 {
			members.WriteByte(',')
		}
		fmt.Fprintf(&members, `{"@odata.type":"#microsoft.graph.user","id":"693acd06-0000-4339-8ade-%012x"}`, i)
	}
	for i := range 1000 {
		if i > 0 {
			people.WriteByte(',')
		}
		fmt.Fprintf(&people, `{"userPrincipalName":"user%d@contoso.com","mail":"user%d@contoso.com","displayName":"User %d","accountEnabled":true,"department":"Sales","userType":"Member","id":"693acd06-0000-4339-8ade-%012x"}`, i, i, i, i)
	}
	for name, c := range map[string]struct {
		text  string
		rules pageRules
	}{
		"members": {`{"@odata.nextLink":"n","value":[{"id":"` + idA + `","displayName":"A","members@delta":[` + members.String() + `]}]}`, pageRules{}},
		"people":  {`{"@odata.nextLink":"n","value":[` + people.String() + `]}`, pageRules{people: newSelection([]string{"accountEnabled", "department", "displayName", "mail", "userPrincipalName", "userType"})}},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := readPage(strings.NewReader(c.text), c.rules); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
