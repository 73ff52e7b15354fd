package scim

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vaultsync/vaultsync/pkg/credential"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// Store is a vault's user store behind a SCIM service. It is safe for use by
// several goroutines. Close it.
type Store struct {
	options Options
	base    *url.URL
	client  *http.Client
	signIn  *signIn
	gate    *gate
	mapping mapping

	requests atomic.Int64
	// lastAlive is when a list was last shown, in nanoseconds since 1970.
	lastAlive atomic.Int64
	// writes grows with each write; what was listed before one is out of date.
	writes atomic.Int64

	mu      sync.Mutex // guards service while it is asked for
	service *service

	trust trust
	shown shown
	list  recent
	warn  warned

	rewriting keyed
	last      atomic.Pointer[said]
}

var _ vault.Store = (*Store)(nil)

// Open makes a store. It makes no request; Check does.
func Open(o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	mapping, err := newMapping(o)
	if err != nil {
		return nil, err
	}
	network, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	s := &Store{options: o, base: base, mapping: mapping, gate: newGate(o.Parallel)}
	if o.MembersHidden {
		s.shown.state.Store(membersHidden)
	}
	s.client = &http.Client{Transport: network, CheckRedirect: noRedirect}
	s.signIn = &signIn{
		secret: &credential.Secret{Key: "store.tokenFile", File: o.TokenFile, Env: o.TokenEnv}, oauth: o.OAuth,
		client: s.client, timeout: o.Timeout, count: func() { s.requests.Add(1) },
	}
	switch {
	case o.OAuth != nil:
		s.signIn.secret = &credential.Secret{Key: "store.oauth.secretFile", File: o.OAuth.SecretFile, Env: o.OAuth.SecretEnv}
		if o.OAuth.SecretEnv != "" {
			s.signIn.secret.Key = "store.oauth.secretEnv"
		}
	case o.TokenEnv != "":
		s.signIn.secret.Key = "store.tokenEnv"
	}
	return s, nil
}

// Close gives the connections back.
func (s *Store) Close() error {
	s.list.drop()
	s.client.CloseIdleConnections()
	return nil
}

// Identity is the service's address in one spelling. It makes no request: SCIM
// has no id of a service, and a copy of one answers at another address. A
// service that moves is another store until somebody says otherwise
// (vaultsync state rebind).
func (s *Store) Identity(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	host := strings.ToLower(s.base.Hostname())
	usual := map[string]string{"https": "443", "http": "80"}[s.base.Scheme]
	if port := s.base.Port(); port != "" && port != usual {
		host += ":" + port
	}
	return "scim:" + s.base.Scheme + "://" + host + s.base.EscapedPath(), nil
}

// Requests is how many requests were sent so far, those for tokens included.
func (s *Store) Requests() int64 { return s.requests.Load() }

// warned remembers what the log has been told, so that it is told once.
type warned struct {
	mu   sync.Mutex
	said map[string]bool
}

func (w *warned) first(what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.said[what] {
		return false
	}
	if w.said == nil {
		w.said = map[string]bool{}
	}
	w.said[what] = true
	return true
}

// keyed is a lock for each key.
type keyed struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	sync.Mutex
	users int
}

// lock waits for the key and returns what gives it back.
func (k *keyed) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*keyedLock{}
	}
	l := k.locks[key]
	if l == nil {
		l = &keyedLock{}
		k.locks[key] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, key)
		}
	}
}
