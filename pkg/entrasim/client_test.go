package entrasim_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

// client is a plain net/http client of the simulator: it shares no code with
// the real one.
type client struct {
	t      testing.TB
	server *entrasim.Server
	tenant *entrasim.Tenant
	http   *http.Client
	token  string
	header http.Header // sent with every request
}

type answer struct {
	status int
	header http.Header
	body   []byte
	json   map[string]any
}

// start serves the tenant of a text.
func start(t testing.TB, text string) *client {
	t.Helper()
	tenant, err := entrasim.ParseTenant(text)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, tenant)
}

func serve(t testing.TB, tenant *entrasim.Tenant) *client {
	t.Helper()
	server, err := entrasim.Start(entrasim.Options{Admin: true}, tenant)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(server.CAPEM()) {
		t.Fatal("the authority is not PEM")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	c := &client{t: t, server: server, tenant: tenant, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, header: http.Header{}}
	c.signIn()
	return c
}

func (c *client) signIn() {
	c.t.Helper()
	a := c.form(url.Values{"client_secret": {entrasim.DemoSecret}})
	if a.status != 200 {
		c.t.Fatalf("sign-in: %d %s", a.status, a.body)
	}
	c.token, _ = a.json["access_token"].(string)
}

// form posts a token request; what is given replaces the usual fields.
func (c *client) form(with url.Values) answer {
	c.t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"},
		"client_id":  {entrasim.DemoClientID},
		"scope":      {c.server.URL() + "/.default openid offline_access profile"},
	}
	maps.Copy(form, with)
	return c.formTo(c.tenant.ID().String(), form)
}

func (c *client) formTo(tenant string, form url.Values) answer {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.context(), http.MethodPost,
		c.server.URL()+"/"+tenant+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.mustDo(request)
}

func (c *client) context() context.Context { return c.t.Context() }

// try makes a request and may fail.
func (c *client) try(method, target string, body any) (answer, error) {
	c.t.Helper()
	var reader io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		reader = bytes.NewReader(b)
	}
	if strings.HasPrefix(target, "/") {
		target = c.server.URL() + target
	}
	request, err := http.NewRequestWithContext(c.context(), method, target, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	maps.Copy(request.Header, c.header)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	return c.do(request)
}

func (c *client) do(request *http.Request) (answer, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	a := answer{status: response.StatusCode, header: response.Header, body: b}
	if err != nil {
		return a, err
	}
	_ = json.Unmarshal(b, &a.json) // not every answer is JSON
	return a, nil
}

func (c *client) mustDo(request *http.Request) answer {
	c.t.Helper()
	a, err := c.do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// get reads target, given below the host ("/v1.0/…") or in full.
func (c *client) get(target string) answer {
	c.t.Helper()
	a, err := c.try(http.MethodGet, strings.ReplaceAll(target, " ", "%20"), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c *client) post(target string, body any) answer {
	c.t.Helper()
	a, err := c.try(http.MethodPost, target, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// code is the error code of an answer.
func (a answer) code() string {
	e, _ := a.json["error"].(map[string]any)
	code, _ := e["code"].(string)
	return code
}

func (a answer) message() string {
	e, _ := a.json["error"].(map[string]any)
	message, _ := e["message"].(string)
	return message
}

// values are the entries of the page.
func (a answer) values() []map[string]any {
	list, _ := a.json["value"].([]any)
	var entries []map[string]any
	for _, e := range list {
		entry, _ := e.(map[string]any)
		entries = append(entries, entry)
	}
	return entries
}

func (a answer) link(name string) string {
	s, _ := a.json["@odata."+name].(string)
	return s
}

// view is what a delta client knows: objects and the members of groups.
type view struct {
	objects map[string]map[string]any
	members map[string]map[string]bool
}

func newView() *view {
	return &view{objects: map[string]map[string]any{}, members: map[string]map[string]bool{}}
}

// apply takes the entries of a page over.
func (v *view) apply(entries []map[string]any) {
	for _, e := range entries {
		id, _ := e["id"].(string)
		if _, removed := e["@removed"]; removed {
			delete(v.objects, id)
			delete(v.members, id)
			continue
		}
		if v.objects[id] == nil {
			v.objects[id] = map[string]any{}
		}
		for name, value := range e {
			if name != "members@delta" {
				v.objects[id][name] = value
			}
		}
		list, _ := e["members@delta"].([]any)
		for _, m := range list {
			entry, _ := m.(map[string]any)
			member, _ := entry["id"].(string)
			if v.members[id] == nil {
				v.members[id] = map[string]bool{}
			}
			if _, removed := entry["@removed"]; removed {
				delete(v.members[id], member)
			} else {
				v.members[id][member] = true
			}
		}
	}
}

var errTooManyPages = errors.New("more than 1000 pages")

// round follows a delta query to its deltaLink and returns it with the entries
// of all pages.
func (c *client) round(target string) (link string, entries []map[string]any, pages int) {
	c.t.Helper()
	for pages < 1000 {
		a := c.get(target)
		if a.status != 200 {
			c.t.Fatalf("GET %s: %d %s", target, a.status, a.body)
		}
		pages++
		entries = append(entries, a.values()...)
		next, delta := a.link("nextLink"), a.link("deltaLink")
		if (next == "") == (delta == "") {
			c.t.Fatalf("page %d has not exactly one link: %q %q", pages, next, delta)
		}
		if delta != "" {
			return delta, entries, pages
		}
		target = next
	}
	c.t.Fatal(errTooManyPages)
	return "", nil, 0
}

const day = 24 * time.Hour
