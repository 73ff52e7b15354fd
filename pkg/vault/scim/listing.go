package scim

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// maxListed ends a list that never ends, in resources.
const maxListed = 2_000_000

// page is one page of a list.
type page struct {
	resources []document
	total     int // as the service says, -1 when it does not: never relied on
}

// page asks for resources from start on, counted from 1.
func (s *Store) page(ctx context.Context, endpoint, filter string, start int) (page, error) {
	query := url.Values{"startIndex": {strconv.Itoa(start)}, "count": {strconv.Itoa(s.options.PageSize)}}
	if filter != "" {
		query.Set("filter", filter)
	}
	r := request{method: http.MethodGet, path: endpoint, query: query, single: filter != ""}
	a, err := s.send(ctx, r)
	if err != nil {
		return page{}, err
	}
	if !a.ok() {
		e := answerError(r.place(), a, false)
		if a.status == http.StatusNotFound {
			// Not that nobody is there: a list of nobody is 200.
			e.kind, e.Fix = vault.ErrUnreachable, "there is no service at this address, or it is down behind its gateway: check store.url"
		}
		return page{}, e
	}
	d, err := decode(a.body)
	if err != nil {
		return page{}, s.garbled(r, err)
	}
	if !d.has("Resources") && !d.has("totalResults") {
		return page{}, s.garbled(r, fmt.Errorf("it is no list"))
	}
	s.lastAlive.Store(time.Now().UnixNano())
	p := page{resources: resources(d), total: -1}
	if n, ok := d.value("totalResults").(json.Number); ok {
		if total, err := n.Int64(); err == nil && total >= 0 {
			p.total = int(total)
		}
	}
	for _, r := range p.resources {
		if r.text("id") == "" {
			return page{}, s.garbled(request{method: http.MethodGet, path: endpoint}, fmt.Errorf("it lists a resource without an id"))
		}
	}
	return p, nil
}

// garbled is an answer that is not SCIM. It is not the same as an empty one.
func (s *Store) garbled(r request, cause error) error {
	return &Error{
		Place: r.place(), Text: "the answer from " + s.base.Host + " cannot be read", kind: vault.ErrUnreachable, cause: cause,
		Fix: "check that store.url is the base of a SCIM 2.0 service, and that no proxy or sign-in page answers in its place",
	}
}

// pages yields every resource of an endpoint once. The end is the page that
// brings nothing new, never the total: services count wrong, and return fewer
// than asked for.
func (s *Store) pages(ctx context.Context, endpoint, filter string, known *page) iter.Seq2[document, error] {
	return func(yield func(document, error) bool) {
		seen := map[string]struct{}{}
		for start := 1; ; {
			p, err := s.nextPage(ctx, endpoint, filter, start, &known)
			if err != nil {
				yield(nil, err)
				return
			}
			fresh := p.unseen(seen)
			if len(seen) > maxListed {
				yield(nil, &Error{
					Place: "GET " + endpoint, kind: vault.ErrUnreachable, Text: fmt.Sprintf("the list does not end: more than %d resources", maxListed),
					Fix: "ask the service's maker for paging by startIndex",
				})
				return
			}
			for _, d := range fresh {
				if !yield(d, nil) {
					return
				}
			}
			start += len(p.resources)
			switch {
			case len(fresh) > 0 && filter != "" && p.total >= 0 && p.total <= len(seen) && len(p.resources) < s.options.PageSize:
				return // a short answer to a question about one person: worth no second request
			case len(fresh) > 0:
			case len(p.resources) > 0 && p.total > len(seen):
				yield(nil, &Error{
					Place: "GET " + endpoint, kind: vault.ErrUnreachable,
					Text: fmt.Sprintf("the service repeats a page: it says that there are %d, and gives %d", p.total, len(seen)),
					Fix:  "raise store.pageSize above the number of users, or ask the service's maker for paging by startIndex",
				})
				return
			default:
				if filter == "" && p.total > len(seen) {
					if err := s.afterHole(ctx, endpoint, p.total, seen); err != nil {
						yield(nil, err)
					}
				}
				return
			}
		}
	}
}

// afterHole looks behind an empty page when the service has said that there is
// more. A total that counts too much is common and means nothing; a page that
// was lost would make whoever is behind it look gone.
func (s *Store) afterHole(ctx context.Context, endpoint string, total int, seen map[string]struct{}) error {
	last, err := s.page(ctx, endpoint, "", total)
	if err != nil {
		return err
	}
	if len(last.unseen(seen)) > 0 {
		return &Error{
			Place: "GET " + endpoint, kind: vault.ErrUnreachable,
			Text: fmt.Sprintf("a page in the middle is empty: the service says that there are %d, and gives %d and then more", total, len(seen)),
			Fix:  "try again; if it stays so, ask the service's maker for paging by startIndex",
		}
	}
	if s.warn.first("total of " + endpoint) {
		s.options.Logger.WarnContext(ctx, "the vault's service says that there are more than it lists", "service", s.base.Host, "endpoint", endpoint, "says", total, "lists", len(seen))
	}
	return nil
}

// nextPage asks for a page; the first may be known already.
func (s *Store) nextPage(ctx context.Context, endpoint, filter string, start int, known **page) (page, error) {
	if p := *known; p != nil {
		*known = nil
		return *p, nil
	}
	return s.page(ctx, endpoint, filter, start)
}

// unseen are the resources that no earlier page had.
func (p page) unseen(seen map[string]struct{}) []document {
	var fresh []document
	for _, d := range p.resources {
		id := d.text("id")
		if _, twice := seen[id]; !twice {
			seen[id] = struct{}{}
			fresh = append(fresh, d)
		}
	}
	return fresh
}

// Users yields every user. What is listed once stands for a minute, unless
// something is written: Find then needs no second reading.
func (s *Store) Users(ctx context.Context) iter.Seq2[vault.User, error] {
	return func(yield func(vault.User, error) bool) {
		v, err := s.discover(ctx)
		if err != nil {
			yield(vault.User{}, err)
			return
		}
		writes := s.writes.Load()
		var all []vault.User
		for d, err := range s.pages(ctx, v.users, "", nil) {
			if err != nil {
				yield(vault.User{}, err)
				return
			}
			u := s.mapping.user(v, d)
			all = append(all, u)
			if !yield(u, nil) {
				return
			}
		}
		s.list.keep(newIndex(all), writes)
	}
}

// index is a listing by every key of a query.
type index struct {
	byID    map[string]vault.User
	byExt   map[string][]string
	byLogin map[string][]string
	byMail  map[string][]string
}

func newIndex(all []vault.User) *index {
	x := &index{byID: make(map[string]vault.User, len(all)), byExt: map[string][]string{}, byLogin: map[string][]string{}, byMail: map[string][]string{}}
	for _, u := range all {
		x.byID[u.ID] = u
		if u.ExternalID != "" {
			x.byExt[u.ExternalID] = append(x.byExt[u.ExternalID], u.ID)
		}
		login := identity.Fold(u.LoginName)
		x.byLogin[login] = append(x.byLogin[login], u.ID)
		if mail := identity.Fold(u.Email); mail != "" {
			x.byMail[mail] = append(x.byMail[mail], u.ID)
		}
	}
	return x
}

// find answers a query, each time with values of the caller's own.
func (x *index) find(q vault.Query) []vault.User {
	var ids []string
	switch {
	case q.ID != "":
		if u, ok := x.byID[q.ID]; ok {
			ids = []string{u.ID}
		}
	case q.ExternalID != "":
		ids = x.byExt[q.ExternalID]
	case q.LoginName != "":
		ids = x.byLogin[identity.Fold(q.LoginName)]
	case q.Email != "":
		ids = x.byMail[identity.Fold(q.Email)]
	}
	var found []vault.User
	for _, id := range ids {
		found = append(found, ownCopy(x.byID[id]))
	}
	return found
}

func ownCopy(u vault.User) vault.User {
	if u.Attributes != nil {
		u.Attributes = maps.Clone(u.Attributes)
	}
	return u
}

// recent is the last listing. It serves the several calls of Find in which one
// look at the vault is made, and is dropped with the first write after it.
type recent struct {
	mu     sync.Mutex
	index  *index
	writes int64
	at     time.Time
}

// recentFor is how long a listing stands.
const recentFor = time.Minute

func (r *recent) keep(x *index, writes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index, r.writes, r.at = x, writes, time.Now()
}

func (r *recent) get(writes int64) *index {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.index == nil || r.writes != writes || time.Since(r.at) > recentFor {
		r.index = nil
	}
	return r.index
}

func (r *recent) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index = nil
}
