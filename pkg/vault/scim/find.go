package scim

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// manyQueries is from where on a call may be answered from the last listing:
// it is then one of the several calls of one look at the vault.
const manyQueries = 100

// fewQueries is up to where single requests are made without first asking how
// many users there are.
const fewQueries = 8

// Find answers each query. Few are asked one by one, by id or by a filter that
// is believed; for many, and where the service's filters are not believed, all
// users are read in pages once. That somebody is not there is concluded of an
// id from nothing less than 404.
func (s *Store) Find(ctx context.Context, queries []vault.Query) ([][]vault.User, error) {
	for _, q := range queries {
		if _, err := keyOf(q); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(queries) == 0 {
		return nil, nil
	}
	v, err := s.discover(ctx)
	if err != nil {
		return nil, err
	}
	f := &finder{Store: s, service: v, queries: queries, answers: map[vault.Query][]vault.User{}}
	if err := f.run(ctx); err != nil {
		return nil, err
	}
	all := make([][]vault.User, len(queries))
	for i, q := range queries {
		for _, u := range f.answers[q] {
			all[i] = append(all[i], ownCopy(u))
		}
	}
	return all, nil
}

// keyOf says what a query asks by; an id is asked for itself.
func keyOf(q vault.Query) (f filterable, err error) {
	set := 0
	for i, text := range []string{q.ID, q.ExternalID, q.LoginName, q.Email} {
		if text != "" {
			set++
			f = [...]filterable{filterables, byExternalID, byLoginName, byEmail}[i]
		}
	}
	if set != 1 {
		return 0, invalid("find", "a query names exactly one of id, external id, login name and e-mail, not %d", set)
	}
	return f, nil
}

// finder answers the queries of one call.
type finder struct {
	*Store
	service *service
	queries []vault.Query

	mu      sync.Mutex
	answers map[vault.Query][]vault.User
}

func (f *finder) run(ctx context.Context) error {
	open := f.distinct(f.queries)
	if len(f.queries) >= manyQueries {
		if x := f.list.get(f.writes.Load()); x != nil {
			return f.fromIndex(ctx, x)
		}
	}
	if len(open) <= fewQueries && f.believable(open) {
		return f.single(ctx, open)
	}
	// The first page says how many there are, and has somebody to test the
	// filters on.
	writes := f.writes.Load()
	first, err := f.page(ctx, f.service.users, "", 1)
	if err != nil {
		return err
	}
	if len(first.resources) > 0 {
		known := make([]vault.User, 0, len(first.resources))
		for _, d := range first.resources {
			known = append(known, f.mapping.user(f.service, d))
		}
		pages := max(first.total, len(known))/len(known) + 1
		if pages > len(open) {
			if err := f.testAll(ctx, open, known); err != nil {
				return err
			}
			if f.believable(open) {
				return f.single(ctx, open)
			}
		}
	}
	var all []vault.User
	for d, err := range f.pages(ctx, f.service.users, "", &first) {
		if err != nil {
			return err
		}
		all = append(all, f.mapping.user(f.service, d))
	}
	x := newIndex(all)
	f.list.keep(x, writes)
	return f.fromIndex(ctx, x)
}

// distinct are the queries, each once.
func (f *finder) distinct(queries []vault.Query) []vault.Query {
	seen := make(map[vault.Query]bool, len(queries))
	var list []vault.Query
	for _, q := range queries {
		if !seen[q] {
			seen[q] = true
			list = append(list, q)
		}
	}
	return list
}

// believable says whether every query can be answered by itself.
func (f *finder) believable(queries []vault.Query) bool {
	return !slices.ContainsFunc(queries, func(q vault.Query) bool {
		by, _ := keyOf(q)
		return by != filterables && f.trust.of(by) != believed
	})
}

// testAll tests the filters that the queries need and nothing is known of.
func (f *finder) testAll(ctx context.Context, queries []vault.Query, known []vault.User) error {
	tested := map[filterable]bool{}
	for _, q := range queries {
		by, _ := keyOf(q)
		if by == filterables || tested[by] || f.trust.of(by) != untested {
			continue
		}
		tested[by] = true
		if _, err := f.test(ctx, f.service, by, known); err != nil {
			return err
		}
	}
	return nil
}

// fromIndex answers from a listing. Who is not in it by id is asked for: pages
// that move while they are read can lose a line.
func (f *finder) fromIndex(ctx context.Context, x *index) error {
	var missing []vault.Query
	for _, q := range f.distinct(f.queries) {
		found := x.find(q)
		if q.ID != "" && len(found) == 0 {
			missing = append(missing, q)
			continue
		}
		f.answers[q] = found
	}
	return f.single(ctx, missing)
}

// errMustList says that a filter, believed so far, does not serve for a value.
var errMustList = errors.New("the users have to be listed")

// single asks one by one, as many at the same time as are allowed.
func (f *finder) single(ctx context.Context, queries []vault.Query) error {
	var unanswered []vault.Query
	err := f.each(ctx, len(queries), func(ctx context.Context, i int) error {
		q := queries[i]
		found, err := f.one(ctx, q)
		f.mu.Lock()
		defer f.mu.Unlock()
		if errors.Is(err, errMustList) {
			unanswered = append(unanswered, q)
			return nil
		}
		f.answers[q] = found
		return err
	})
	if err != nil || len(unanswered) == 0 {
		return err
	}
	var all []vault.User
	for d, err := range f.pages(ctx, f.service.users, "", nil) {
		if err != nil {
			return err
		}
		all = append(all, f.mapping.user(f.service, d))
	}
	x := newIndex(all)
	for _, q := range unanswered {
		f.answers[q] = x.find(q)
	}
	return nil
}

func (f *finder) one(ctx context.Context, q vault.Query) ([]vault.User, error) {
	by, err := keyOf(q)
	if err != nil {
		return nil, err
	}
	if by == filterables {
		d, err := f.get(ctx, f.service.users, q.ID)
		if d == nil || err != nil {
			return nil, err
		}
		return []vault.User{f.mapping.user(f.service, d)}, nil
	}
	value := q.ExternalID + q.LoginName + q.Email // one of them is set
	found, err := f.filtered(ctx, f.service, by, value)
	switch {
	case err != nil && refusesFilter(err):
		return nil, errMustList
	case err != nil:
		return nil, err
	case !plain(value) && (len(found) == 0 || by == byEmail):
		// Escaping and Unicode forms are where services differ most. A name is
		// had by one alone, an address by several.
		return nil, errMustList
	}
	return found, nil
}

// errWebPage is the cause of an answer that cannot be read.
var errWebPage = errors.New("it is a web page")

// get reads one resource; nil without an error when there is none.
func (s *Store) get(ctx context.Context, endpoint, id string) (document, error) {
	path, ok := resourcePath(endpoint, id)
	if !ok {
		return nil, nil //nolint:nilnil // no resource and no error are two answers
	}
	r := request{method: http.MethodGet, path: path}
	a, err := s.send(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusNotFound:
		return nil, s.alive(ctx, endpoint, a)
	case !a.ok():
		return nil, answerError(r.place(), a, false)
	}
	d, err := decode(a.body)
	switch {
	case err != nil:
		return nil, s.garbled(r, err)
	case d.text("id") != id:
		return nil, s.garbled(r, errors.New("it is about another resource"))
	}
	return d, nil
}

// existing is get where there has to be one.
func (s *Store) existing(ctx context.Context, endpoint, id string) (document, error) {
	d, err := s.get(ctx, endpoint, id)
	if err == nil && d == nil {
		err = &Error{Place: "GET " + endpoint, Text: "there is no such resource", kind: vault.ErrNotFound}
	}
	return d, err
}

// resourcePath is where a resource is; false for an id that no path can hold.
func resourcePath(endpoint, id string) (string, bool) {
	if id == "" || id == "." || id == ".." {
		return "", false
	}
	return endpoint + "/" + url.PathEscape(id), true
}

// each calls do for every index, Parallel at a time, and stops with the first
// error.
func (s *Store) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(n, s.options.Parallel) {
		wg.Go(func() {
			for i := range next {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
