package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"
)

// bareReader is the least that can read a tenant: plain HTTP, a token, pages
// taken apart token by token, ids and values kept for as long as their page.
type bareReader struct {
	client *http.Client
	token  string
	pages  atomic.Int64
	kept   atomic.Int64 // values seen, so that nothing is optimized away
}

// readBare reads the pages that a first pull of the engine reads, four streams
// side by side as the engine does.
func readBare(ctx context.Context, facts tenantFacts) (int, error) {
	r, err := newBareReader(ctx, facts)
	if err != nil {
		return 0, err
	}
	defer r.client.CloseIdleConnections()
	starts := []string{facts.URL + "/v1.0/users/delta?$select=id,accountEnabled,displayName,mail,userPrincipalName,userType"}
	for ids := range slices.Chunk(facts.AllGroups, 50) {
		terms := make([]string, 0, len(ids))
		for _, id := range ids {
			terms = append(terms, "id eq '"+id+"'")
		}
		starts = append(starts, facts.URL+"/v1.0/groups/delta?$select=id,displayName,visibility,members&$filter="+url.QueryEscape(strings.Join(terms, " or ")))
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, start := range starts {
		group.Go(func() error { return r.follow(ctx, start) })
	}
	err = group.Wait()
	return int(r.pages.Load()), err
}

func newBareReader(ctx context.Context, facts tenantFacts) (*bareReader, error) {
	pem, err := os.ReadFile(facts.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the tenant's authority: %w", err)
	}
	secret, err := os.ReadFile(facts.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("read the tenant's secret: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	r := &bareReader{client: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4,
	}}}
	form := url.Values{
		"client_id": {facts.ClientID}, "client_secret": {string(secret)}, "grant_type": {"client_credentials"}, "scope": {facts.URL + "/.default"},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, facts.URL+"/"+facts.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	reply, err := r.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	defer reply.Body.Close() //nolint:errcheck // was read
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&token); err != nil || token.AccessToken == "" {
		return nil, fmt.Errorf("sign in: status %d, no token: %w", reply.StatusCode, err)
	}
	r.token = token.AccessToken
	return r, nil
}

func (r *bareReader) follow(ctx context.Context, link string) error {
	for link != "" {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
		if err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+r.token)
		reply, err := r.client.Do(request)
		if err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		if reply.StatusCode != http.StatusOK {
			return errors.Join(fmt.Errorf("the tenant answers %s", reply.Status), reply.Body.Close())
		}
		link, err = r.page(reply.Body)
		if err = errors.Join(err, reply.Body.Close()); err != nil {
			return fmt.Errorf("read a page: %w", err)
		}
		r.pages.Add(1)
	}
	return nil
}

// page takes a page apart and gives the next link, "" after the last.
func (r *bareReader) page(body io.Reader) (next string, err error) {
	d := jsontext.NewDecoder(body)
	nextLink := []byte(`"@odata.nextLink"`)
	isNext := false
	var values [][]byte
	for {
		switch kind := d.PeekKind(); kind {
		case '"', '0':
			value, err := d.ReadValue()
			if err != nil {
				return "", fmt.Errorf("read a value: %w", err)
			}
			if isNext {
				if err := json.Unmarshal(value, &next); err != nil {
					return "", fmt.Errorf("read the link: %w", err)
				}
			}
			isNext = d.StackDepth() == 1 && bytes.Equal(value, nextLink)
			values = append(values, bytes.Clone(value))
		default:
			if _, err := d.ReadToken(); errors.Is(err, io.EOF) {
				r.kept.Add(int64(len(values)))
				return next, nil
			} else if err != nil {
				return "", fmt.Errorf("read a token: %w", err)
			}
		}
	}
}
