package scim

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// answer is what the service said.
type answer struct {
	status int
	header http.Header
	body   []byte
	// doubt says that an earlier try of the same request may have been carried
	// out.
	doubt bool
	// spent says that the service has no licence left.
	spent bool
}

func (a answer) ok() bool { return a.status >= 200 && a.status < 300 }

// page says that a web page came in place of SCIM: a proxy, a sign-in page or a
// web server has answered, and the service knows nothing of the request.
func (a answer) page() bool {
	return strings.HasPrefix(strings.ToLower(a.header.Get("Content-Type")), "text/html") || bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("<"))
}

// unmask gives a success that holds an error of SCIM the error's status:
// gateways are known to turn every answer into 200.
func (a *answer) unmask() {
	if !a.ok() || !bytes.Contains(a.body, []byte(errorSchema)) {
		return
	}
	d, err := decode(a.body)
	if err != nil {
		return
	}
	for _, v := range d.list("schemas") {
		if n, err := strconv.Atoi(d.text("status")); scalar(v) == errorSchema && err == nil && n >= 400 && n < 600 {
			a.status = n
		}
	}
}

// outOfLicenses says that an answer means that there is no licence left. SCIM
// has no word for it: 402 can mean nothing else, and what a service says beside
// another refusal is known to its operator alone.
func (o Options) outOfLicenses(a answer) bool {
	if a.status < 400 || a.status >= 500 {
		return false
	}
	detail, _ := a.detail()
	return a.status == http.StatusPaymentRequired ||
		o.LicenseExhausted != "" && strings.Contains(strings.ToLower(detail), strings.ToLower(o.LicenseExhausted))
}

// pageError is a write that a web page has answered. Whether it went further
// is not known.
func (s *Store) pageError(r request) error {
	return &Error{
		Place: r.place(), Text: "a web page came from " + s.base.Host + " in place of an answer", kind: vault.ErrUnknownOutcome,
		Fix: "check that store.url is the base of a SCIM 2.0 service, and that no proxy or sign-in page answers in its place",
	}
}

// aliveFor is how long a service that has shown a list counts as there.
const aliveFor = 5 * time.Second

// alive tells "there is no such resource" from "there is no such service": a
// gateway whose service is gone answers 404 too, and would make everybody look
// deleted. An error says that the 404 means nothing.
func (s *Store) alive(ctx context.Context, endpoint string, a answer) error {
	if a.page() {
		return s.garbled(request{method: http.MethodGet, path: endpoint}, errWebPage)
	}
	if time.Since(time.Unix(0, s.lastAlive.Load())) < aliveFor {
		return nil
	}
	_, err := s.page(ctx, endpoint, "", 1)
	return err
}
