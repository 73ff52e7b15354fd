package scim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// bulkFrom is how many changes are worth a bulk request where the service has
// it.
const bulkFrom = 4

// Apply makes the changes. Changes that have nothing to do with each other are
// made at the same time; whatever could depend on another waits for it.
func (s *Store) Apply(ctx context.Context, changes []vault.Change) []vault.Result {
	j := &job{Store: s, changes: changes, results: make([]vault.Result, len(changes))}
	pending := make([]int, 0, len(changes))
	for i, c := range changes {
		if err := s.check(c); err != nil {
			j.results[i].Err = err
		} else {
			pending = append(pending, i)
		}
	}
	if len(pending) == 0 {
		return j.results
	}
	v, err := s.discover(ctx)
	if err != nil {
		j.fill(pending, err)
		return j.results
	}
	j.service = v
	s.writes.Add(1)
	s.list.drop()
	// What was listed while we were writing is out of date too.
	defer s.writes.Add(1)
	if v.bulk.Load() && (len(pending) >= bulkFrom || s.options.Bulk == on) {
		pending = j.inBulk(ctx, pending)
	}
	for len(pending) > 0 {
		n := wave(changes, pending)
		j.inParallel(ctx, pending[:n])
		pending = pending[n:]
	}
	return j.results
}

// check refuses what needs no service to be refused.
func (s *Store) check(c vault.Change) error {
	notFound := func(kind, id string) error {
		return &Error{Place: kind, Text: fmt.Sprintf("there is no %s with the id %q", kind, id), kind: vault.ErrNotFound}
	}
	switch c.Op {
	case vault.CreateUser:
		u := c.User
		if strings.TrimSpace(u.LoginName) == "" {
			return invalid("userName", "a user needs a login name")
		}
		return errors.Join(checkTexts(u.LoginName, u.FullName, u.Email, u.ExternalID), checkTexts(slices.Collect(maps.Values(u.Attributes))...), s.mapping.unknownAttribute(u.Attributes))
	case vault.UpdateUser:
		if _, ok := resourcePath("", c.UserID); !ok {
			return notFound("user", c.UserID)
		}
		p := c.Patch
		if p.LoginName != nil && strings.TrimSpace(*p.LoginName) == "" {
			return invalid("userName", "a user needs a login name")
		}
		return errors.Join(checkTexts(texts(p)...), s.mapping.unknownAttribute(p.Attributes))
	case vault.CreateGroup:
		if strings.TrimSpace(c.Group.Name) == "" {
			return invalid("displayName", "a group needs a name")
		}
		return checkTexts(c.Group.Name, c.Group.ExternalID)
	case vault.UpdateGroup, vault.AddMembers, vault.RemoveMembers:
		if _, ok := resourcePath("", c.GroupID); !ok {
			return notFound("group", c.GroupID)
		}
		if c.Op == vault.UpdateGroup && c.Patch.Name != nil && strings.TrimSpace(*c.Patch.Name) == "" {
			return invalid("displayName", "a group needs a name")
		}
		if c.Op == vault.AddMembers && slices.Contains(c.Members, "") {
			return notFound("user", "")
		}
		return errors.Join(checkTexts(texts(c.Patch)...), checkTexts(c.Members...))
	default:
		return invalid("change", "there is no change of kind %d", c.Op)
	}
}

func texts(p vault.Patch) []string {
	list := slices.Collect(maps.Values(p.Attributes))
	for _, text := range []*string{p.LoginName, p.FullName, p.Email, p.ExternalID, p.Name} {
		if text != nil {
			list = append(list, *text)
		}
	}
	return list
}

// wave is how many of the pending changes can be made at the same time: up to
// the first that touches what an earlier one touches. A change of names stands
// alone, for it may free what the next one takes.
func wave(changes []vault.Change, pending []int) int {
	taken := map[string]bool{}
	for n, i := range pending {
		keys, alone := touches(changes[i])
		if alone {
			return max(n, 1)
		}
		for _, key := range keys {
			if taken[key] {
				return n
			}
		}
		for _, key := range keys {
			taken[key] = true
		}
	}
	return len(pending)
}

func touches(c vault.Change) (keys []string, alone bool) {
	switch c.Op {
	case vault.CreateUser:
		keys = []string{"login " + identity.Fold(c.User.LoginName)}
		if c.User.ExternalID != "" {
			keys = append(keys, "external "+c.User.ExternalID)
		}
	case vault.UpdateUser:
		return []string{"user " + c.UserID}, c.Patch.LoginName != nil || c.Patch.ExternalID != nil
	case vault.CreateGroup:
		keys = []string{"name " + identity.Fold(c.Group.Name)}
		if c.Group.ExternalID != "" {
			keys = append(keys, "group external "+c.Group.ExternalID)
		}
	case vault.UpdateGroup:
		return nil, true
	case vault.AddMembers, vault.RemoveMembers:
		keys = []string{"group " + c.GroupID}
	}
	return keys, false
}

// job is one call of Apply.
type job struct {
	*Store
	service *service
	changes []vault.Change
	results []vault.Result

	mu sync.Mutex
	// down is why nothing more is sent: the service is out of reach, and every
	// further change would only wait for the same.
	down error
	// lost counts the changes in a row whose outcome is not known.
	lost int
}

// lostAtMost is after how many changes of unknown outcome in a row no more are
// sent: each would have to be looked for.
const lostAtMost = 10

// fill answers changes that were not begun.
func (j *job) fill(indexes []int, err error) {
	for _, i := range indexes {
		j.results[i].Err = err
	}
}

// inParallel makes changes that have nothing to do with each other.
func (j *job) inParallel(ctx context.Context, indexes []int) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(len(indexes), j.options.Parallel) {
		wg.Go(func() {
			for i := range next {
				j.results[i] = j.one(ctx, j.changes[i])
			}
		})
	}
	for _, i := range indexes {
		next <- i
	}
	close(next)
	wg.Wait()
}

// one makes one change, unless there is no use in beginning it.
func (j *job) one(ctx context.Context, c vault.Change) vault.Result {
	if err := ctx.Err(); err != nil {
		return vault.Result{Err: err}
	}
	j.mu.Lock()
	down := j.down
	j.mu.Unlock()
	if down != nil {
		return vault.Result{Err: down}
	}
	result := j.make(ctx, c)
	unknown := errors.Is(result.Err, vault.ErrUnknownOutcome)
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case unknown:
		if j.lost++; j.lost >= lostAtMost && j.down == nil {
			j.down = &Error{
				Place: "the vault's service", kind: vault.ErrUnreachable,
				Text: fmt.Sprintf("not sent: of the last %d changes nobody knows what became of them", j.lost),
				Fix:  "see in the service's log, or that of a proxy between, why its answers do not come through", cause: errors.New(result.Err.Error()),
			}
		}
	case errors.Is(result.Err, vault.ErrUnreachable):
		j.down = result.Err
	default:
		j.lost = 0
	}
	return result
}

func (j *job) make(ctx context.Context, c vault.Change) vault.Result {
	switch c.Op {
	case vault.CreateUser:
		return j.createUser(ctx, j.service, c.User)
	case vault.UpdateUser:
		return vault.Result{Err: j.updateUser(ctx, j.service, c.UserID, c.Patch)}
	case vault.CreateGroup:
		return j.createGroup(ctx, j.service, c.Group)
	case vault.UpdateGroup:
		return vault.Result{Err: j.updateGroup(ctx, j.service, c.GroupID, c.Patch)}
	case vault.AddMembers:
		return vault.Result{Err: j.addMembers(ctx, j.service, c.GroupID, distinctTexts(c.Members))}
	case vault.RemoveMembers:
		return vault.Result{Err: j.removeMembers(ctx, j.service, c.GroupID, distinctTexts(c.Members))}
	default:
		return vault.Result{Err: invalid("change", "there is no change of kind %d", c.Op)}
	}
}

// distinctTexts are the texts that are not empty, each once, in order.
func distinctTexts(list []string) []string {
	seen := make(map[string]bool, len(list))
	var distinct []string
	for _, text := range list {
		if text != "" && !seen[text] {
			seen[text] = true
			distinct = append(distinct, text)
		}
	}
	return distinct
}
