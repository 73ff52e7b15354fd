package mirror

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// job is one stream of a round.
type job struct {
	number   uint32 // of the stored stream; 0 for one that is new
	users    bool
	groups   []identity.ObjectID
	link     string // "": from the start
	restarts int

	edits   map[identity.ObjectID]*edit
	newLink string
	err     error
	done    bool
}

// String names the stream for messages.
func (j *job) String() string {
	if j.users {
		return "the stream of all users"
	}
	if len(j.groups) == 1 {
		return "the stream of group " + j.groups[0].String()
	}
	return fmt.Sprintf("the stream of group %s and %d others", j.groups[0], len(j.groups)-1)
}

// restart forgets what was read and begins from the start.
func (j *job) restart() {
	j.link, j.newLink, j.err, j.done, j.edits = "", "", nil, false, nil
	j.restarts++
}

// plan makes the jobs of the stored streams, or of everything when the round
// is a full one.
func (r *round) plan(ctx context.Context) error {
	follow := followed(r.base.lookup, r.roots)
	streamed := map[identity.ObjectID]bool{}
	for _, s := range r.base.streams {
		for _, id := range s.groups {
			streamed[id] = true
		}
	}
	// Groups that no stream could follow are asked for by id each time, so
	// that they come back when a permission is given.
	var outside []identity.ObjectID
	for _, id := range follow {
		if g := r.base.groups[id]; g != nil && g.State != directory.GroupPresent && !streamed[id] {
			outside = append(outside, id)
		}
	}
	if err := r.park(ctx, outside); err != nil {
		return err
	}
	if _, followsUsers := r.base.streams[usersStream]; followsUsers && r.m.policy.fixed != modeRead {
		j := &job{users: true}
		if !r.full && !r.people.reselect {
			j.link = r.base.streams[usersStream].link
		}
		r.jobs = append(r.jobs, j)
	}
	if r.full {
		r.begin(r.homeless(follow)) // everything is packed anew
		return nil
	}
	wanted := make(map[identity.ObjectID]bool, len(follow))
	for _, id := range follow {
		g := r.base.groups[id]
		wanted[id] = g != nil && g.Why != whyPending
	}
	for _, number := range slices.Sorted(maps.Keys(r.base.streams)) {
		s := r.base.streams[number]
		if number == usersStream {
			continue
		}
		j := &job{number: number, link: s.link}
		for _, id := range s.groups {
			if wanted[id] {
				j.groups = append(j.groups, id)
				r.owner[id] = j
			}
		}
		if len(j.groups) > 0 {
			r.jobs = append(r.jobs, j)
		}
	}
	r.begin(r.homeless(follow)) // new roots, in the same pull
	return nil
}

// extend gives groups that turned up nested a stream.
func (r *round) extend() {
	if len(r.pending(false)) > 0 {
		return // more may turn up: fewer, fuller streams
	}
	r.begin(r.homeless(followed(r.group, r.roots)))
}

// homeless are the groups that have no stream and can have one.
func (r *round) homeless(groups []identity.ObjectID) []identity.ObjectID {
	return slices.DeleteFunc(slices.Clone(groups), func(id identity.ObjectID) bool {
		return r.owner[id] != nil || r.parked[id] != nil
	})
}

// begin reads groups from the start, in new streams.
func (r *round) begin(groups []identity.ObjectID) {
	for part := range slices.Chunk(groups, directory.MaxGroupsPerStream) {
		j := &job{groups: slices.Clone(part)}
		for _, id := range part {
			r.owner[id] = j
		}
		r.jobs = append(r.jobs, j)
	}
}

// pending are the jobs to pull next: those of groups and that of a stored
// users' link, or, once the closure is complete, the users from the start.
func (r *round) pending(complete bool) []*job {
	var jobs []*job
	for _, j := range r.jobs {
		if !j.done && (!j.users || j.link != "") != complete {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// split is for a stream that the directory forbids: groups that cannot be read
// are taken out of it, the others begin anew. When all can be read one by one
// the failure is not about groups, and the round fails.
func (r *round) split(ctx context.Context, j *job) error {
	var rest []identity.ObjectID
	if err := r.park(ctx, j.groups); err != nil {
		return err
	}
	for _, id := range j.groups {
		if r.parked[id] == nil {
			rest = append(rest, id)
		}
	}
	refused := fmt.Errorf("%s: %w", j, j.err)
	if len(rest) == len(j.groups) {
		return refused
	}
	r.refused = refused
	at := slices.Index(r.jobs, j)
	r.jobs = slices.Delete(r.jobs, at, at+1)
	for _, id := range j.groups {
		delete(r.owner, id)
	}
	r.begin(rest)
	return nil
}

// nothingReadable is the refusal of a round in which every followed group was
// refused: then it is the sign-in that lacks a permission, and nothing is known
// of any group. A single one that can be read, or is known to be missing, shows
// that the permission is there.
func (r *round) nothingReadable() error {
	if r.refused == nil {
		return nil
	}
	for _, id := range followed(r.group, r.roots) {
		if g := r.parked[id]; g == nil || g.State != directory.GroupUnreadable {
			return nil
		}
	}
	return r.refused
}

// park asks for groups by id and sets those aside that cannot be followed.
func (r *round) park(ctx context.Context, ids []identity.ObjectID) error {
	infos, err := r.infos(ctx, ids)
	if err != nil {
		return err
	}
	for _, info := range infos {
		if g := r.absent(info); g.State != directory.GroupPresent && g.Why != whyPending {
			r.parked[info.ID] = g
		}
	}
	return nil
}

// infos asks for groups by id and checks that the answer is about them.
func (r *round) infos(ctx context.Context, ids []identity.ObjectID) ([]directory.GroupInfo, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	infos, err := r.dir.Groups(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read groups by id: %w", err)
	}
	if len(infos) != len(ids) {
		return nil, fmt.Errorf("read groups by id: %d answers to %d questions: %w", len(infos), len(ids), directory.ErrProtocol)
	}
	for i := range infos {
		if infos[i].ID != ids[i] {
			return nil, fmt.Errorf("read groups by id: an answer about %s instead of %s: %w", infos[i].ID, ids[i], directory.ErrProtocol)
		}
	}
	return infos, nil
}

// group is a group as this round knows it so far.
func (r *round) group(id identity.ObjectID) *group {
	if g := r.parked[id]; g != nil {
		return g
	}
	if j := r.owner[id]; j != nil && j.done {
		if e := j.edits[id]; e != nil {
			return e.result
		}
	}
	return r.base.groups[id]
}
