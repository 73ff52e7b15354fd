package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// maxFullAge is how old a full read may get at most: delta links live for
// seven days.
const maxFullAge = 6 * 24 * time.Hour

// Refresh is one wish to bring the mirror up to date.
type Refresh struct {
	// Roots are all configured groups of all vaults on the directory. What is
	// not reachable from them is let go.
	Roots []Root
	// Full reads everything from the start.
	Full bool
	// FullEvery is the age at which a full read is due; 0 or more than six
	// days means six days.
	FullEvery time.Duration
	// Progress, when set, is told after each page.
	Progress func(done Progress)
}

// Progress is how much a refresh has read so far.
type Progress struct {
	Pages, Objects int
}

// Report is what a refresh did.
type Report struct {
	Full      bool   // everything was read from the start
	Revision  uint64 // the mirror's revision afterwards
	Pages     int
	Objects   int  // groups, members and people in the pages
	Touched   int  // people who changed
	TokenLost bool // a stored link was no longer good, its stream was read anew
}

// Refresh reads what changed in the directory and makes it visible, whole or
// not at all: on an error the mirror stays as it was, and so do its links. A
// group of which the directory says that it cannot be read is no error; it is
// kept as unreadable with its last members. Refreshes wait for each other;
// views go on with the last good state.
//
// The order of reading: stored links in one pull, then groups that are new or
// turned up nested until none is unknown, then the stream of all users if it
// begins anew, then the profiles that are still missing.
func (m *Mirror) Refresh(ctx context.Context, dir directory.Directory, wish Refresh) (Report, error) {
	m.refreshing.Lock()
	defer m.refreshing.Unlock()
	if err := ctx.Err(); err != nil {
		return Report{}, err
	}
	// What an earlier failure left is ended first.
	if err := errors.Join(m.dropStaged(), m.foldOverlay(ctx)); err != nil {
		return Report{}, at(m.path, err)
	}
	r := m.newRound(dir, wish)
	err := r.read(ctx)
	if err == nil {
		err = r.commit(ctx)
	}
	return r.report, at(m.path, errors.Join(err, r.people.file.remove()))
}

// round is one refresh in progress.
type round struct {
	m     *Mirror
	base  *state
	dir   directory.Directory
	wish  Refresh
	roots []Root // sorted, each once
	now   time.Time
	full  bool

	jobs   []*job
	owner  map[identity.ObjectID]*job
	parked map[identity.ObjectID]*group // groups that no stream can follow
	people *people

	refused error // of the last stream that was split

	reread bool // the streams of all groups were begun anew for people who came back
	report Report
}

func (m *Mirror) newRound(dir directory.Directory, wish Refresh) *round {
	base := m.state.Load()
	now := m.opt.Now()
	roots := slices.Clone(wish.Roots)
	slices.SortFunc(roots, func(a, b Root) int {
		if c := a.ID.Compare(b.ID); c != 0 || a.Nested == b.Nested {
			return c
		}
		if a.Nested {
			return 1
		}
		return -1
	})
	roots = slices.Compact(roots)
	every := maxFullAge
	if wish.FullEvery > 0 {
		every = min(every, wish.FullEvery)
	}
	age := now.Sub(base.head.fullAt)
	r := &round{
		m: m, base: base, dir: dir, wish: wish, roots: roots, now: now,
		// An age below zero is a clock that was put back.
		full:   wish.Full || base.head.fullAt.IsZero() || age >= every || age < 0,
		owner:  map[identity.ObjectID]*job{},
		parked: map[identity.ObjectID]*group{},
	}
	scope := base.scope
	if scope == nil || !slices.Equal(base.roots, roots) {
		scope = scopeOf(base.lookup, roots)
	}
	r.people = newPeople(m, base, scope)
	return r
}

// read pulls until every stream that counts has its link and everybody in
// scope was asked for.
func (r *round) read(ctx context.Context) error {
	if err := r.plan(ctx); err != nil {
		return err
	}
	asks := r.firstAsks()
	for {
		r.extend()
		pending := r.pending(false)
		if len(pending) > 0 || !asks.IsEmpty() {
			if err := r.pull(ctx, pending, asks); err != nil {
				return err
			}
			asks = roaring.New()
			continue
		}
		// The closure is complete: who is in scope is known.
		if err := r.nothingReadable(); err != nil {
			return err
		}
		if r.groupsMoved() {
			r.people.scope = scopeOf(r.group, r.roots)
		}
		r.settleMode()
		if pending = r.pending(true); len(pending) > 0 {
			if err := r.pull(ctx, pending, asks); err != nil {
				return err
			}
			continue
		}
		if r.rereadForReturned() {
			continue
		}
		if asks = r.asks(); asks.IsEmpty() {
			return nil
		}
	}
}

// groupsMoved says whether the round has read anything of any group.
func (r *round) groupsMoved() bool {
	return len(r.parked) > 0 || slices.ContainsFunc(r.jobs, func(j *job) bool { return len(j.edits) > 0 })
}

// settleMode decides where profiles come from, and begins the stream of all
// users when it is to be followed from now on.
func (r *round) settleMode() {
	p := r.people
	p.mode = r.m.policy.decide(r.base.head.mode, p.scope.GetCardinality(), r.full)
	at := slices.IndexFunc(r.jobs, func(j *job) bool { return j.users })
	switch {
	case p.mode == modeStream && at < 0:
		r.jobs = append(r.jobs, &job{users: true})
	case p.mode == modeRead && at >= 0:
		r.jobs = slices.Delete(r.jobs, at, at+1)
	}
}

// firstAsks are the people who can be asked for in the same pull as the stored
// links: in read mode everybody in scope, else those without a profile.
func (r *round) firstAsks() *roaring.Bitmap {
	users := slices.ContainsFunc(r.jobs, func(j *job) bool { return j.users })
	mode := r.base.head.mode
	if r.m.policy.fixed != modeUndecided {
		mode = r.m.policy.fixed
	}
	switch {
	case mode == modeRead:
		return roaring.Or(r.people.scope, r.people.gone)
	case users && r.pending(true) == nil:
		return r.people.missing()
	default:
		return roaring.New()
	}
}

// asks are the people who must still be asked for, each once in a round.
func (r *round) asks() *roaring.Bitmap {
	p := r.people
	want := p.missing()
	if p.mode == modeRead {
		want = roaring.Or(p.scope, p.gone)
	}
	for _, j := range r.jobs {
		if j.users && j.link == "" {
			// Who is absent from the stream of everybody counts as deleted
			// only when the directory says so of that very person.
			want.Or(roaring.AndNot(roaring.AndNot(roaring.Or(p.scope, p.profiled), p.seen), p.gone))
		}
	}
	// Who was gone and is back may be answered for before the groups say that
	// they are members again: that answer was not kept.
	p.asked.AndNot(roaring.And(p.early, p.scope))
	p.early.AndNot(p.scope)
	want.AndNot(p.asked)
	return want
}

// rereadForReturned begins the streams of all groups anew when somebody who was
// gone is there again without being a member of anything: that a membership
// comes back with the person is not always reported.
func (r *round) rereadForReturned() bool {
	p := r.people
	returned := roaring.AndNot(r.base.gone, p.gone)
	returned.AndNot(p.scope)
	if r.reread || returned.IsEmpty() {
		return false
	}
	r.reread = true
	again := false
	for _, j := range r.jobs {
		if !j.users && j.link != "" {
			j.restart()
			again = true
		}
	}
	p.asked.AndNot(returned)
	return again
}

// pull makes one pull and settles its outcome.
func (r *round) pull(ctx context.Context, jobs []*job, asks *roaring.Bitmap) error {
	ids, err := r.people.idsOf(asks)
	if err != nil {
		return err
	}
	request := directory.Request{Profiles: ids, Select: r.m.sel}
	for _, j := range jobs {
		request.Streams = append(request.Streams, directory.Stream{Groups: j.groups, Link: j.link})
	}
	if err := r.dir.Pull(ctx, request, func(page directory.Page) error { return r.deliver(jobs, page) }); err != nil {
		return fmt.Errorf("read the directory: %w", err)
	}
	r.people.asked.Or(asks)
	var failed []error
	for _, j := range jobs {
		if err := r.settle(ctx, j); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// settle looks at how one stream of a pull ended.
//
//	ended with          stream        then
//	a link              any           done; unseen groups are asked for by id
//	token lost          stored link   read from the start
//	token lost          twice         fails
//	forbidden           of groups     unreadable groups are parked, the others read anew;
//	                                  all groups of the round: fails
//	anything else       any           fails: nothing of the round counts
func (r *round) settle(ctx context.Context, j *job) error {
	switch {
	case j.err == nil && j.newLink != "":
		j.done = true
		if j.users {
			return nil
		}
		return r.finish(ctx, j)
	case j.err == nil:
		return fmt.Errorf("%s ended without a delta link: %w", j, directory.ErrProtocol)
	case errors.Is(j.err, directory.ErrTokenLost) && j.restarts < 2:
		r.report.TokenLost = true
		if j.users {
			if err := r.people.reset(); err != nil {
				return err
			}
		}
		j.restart()
		return nil
	case errors.Is(j.err, directory.ErrForbidden) && !j.users:
		return r.split(ctx, j)
	default:
		return fmt.Errorf("%s: %w", j, j.err)
	}
}

// deliver takes in one page.
func (r *round) deliver(jobs []*job, page directory.Page) error {
	r.report.Pages++
	r.report.Objects += len(page.Groups) + len(page.People)
	for i := range page.Groups {
		r.report.Objects += len(page.Groups[i].Members)
	}
	err := r.people.during(func() error {
		if page.Stream == directory.Profiles {
			if page.Err != nil {
				return fmt.Errorf("read profiles: %w", page.Err)
			}
			return r.people.apply(page.People, true)
		}
		if page.Stream < 0 || page.Stream >= len(jobs) {
			return fmt.Errorf("a page of stream %d, which was not asked for: %w", page.Stream, directory.ErrProtocol)
		}
		return r.take(jobs[page.Stream], page)
	})
	if err != nil {
		return err
	}
	if r.wish.Progress != nil {
		r.wish.Progress(Progress{Pages: r.report.Pages, Objects: r.report.Objects})
	}
	return nil
}

func (r *round) take(j *job, page directory.Page) error {
	if page.Err != nil {
		j.err = page.Err
		return nil //nolint:nilerr // a job's failure is its own: the others go on
	}
	if j.err != nil || j.newLink != "" {
		return fmt.Errorf("%s: a page after its end: %w", j, directory.ErrProtocol)
	}
	j.newLink = page.Link
	if j.users {
		if j.link == "" {
			r.people.mark(page.People)
		}
		return r.people.apply(page.People, j.link == "")
	}
	for _, c := range page.Groups {
		if err := r.groupChange(j, c); err != nil {
			return err
		}
	}
	return nil
}
