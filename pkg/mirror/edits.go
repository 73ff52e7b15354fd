package mirror

import (
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// The reasons of a state other than present, in words.
const (
	whyDeleted     = "it was deleted in the directory"
	whySoftDeleted = "it was deleted in the directory and can still be restored there"
	whyMissing     = "the directory knows no group with this id"
	whyHidden      = "its membership is hidden, and the permission to read hidden memberships (Member.Read.Hidden) is not granted"
	whyUnreadable  = "the directory does not let it be read"
	whyPending     = "the directory has not delivered its members yet"
)

// edit is what a stream has said of one group.
type edit struct {
	seen    bool
	bounced bool // was reported as removed at some moment
	name    *string
	hidden  *bool
	removal directory.Removal

	members  *roaring.Bitmap
	children map[identity.ObjectID]bool
	others   *roaring.Bitmap

	result *group // once the stream is complete
}

// edit is the group's edit in a stream: from the start its membership begins
// empty, from a link with what is known. Nil for a group that the stream does
// not, or no longer, speak for.
func (r *round) edit(j *job, id identity.ObjectID) *edit {
	if r.owner[id] != j {
		return nil
	}
	if e := j.edits[id]; e != nil {
		return e
	}
	if j.edits == nil {
		j.edits = map[identity.ObjectID]*edit{}
	}
	e := &edit{members: roaring.New(), children: map[identity.ObjectID]bool{}, others: roaring.New()}
	if g := r.base.groups[id]; g != nil && j.link != "" {
		e.members, e.others = g.Members.Clone(), g.others.Clone()
		for _, child := range g.Children {
			e.children[child] = true
		}
	}
	j.edits[id] = e
	return e
}

// groupChange takes in what a page says of one group. The same group may come
// again on any page: members are the union minus the removals, in the order
// of arrival.
func (r *round) groupChange(j *job, c directory.GroupChange) error {
	e := r.edit(j, c.ID)
	if e == nil {
		return nil
	}
	e.seen = true
	e.removal = c.Removal
	if c.Removal != directory.Present {
		e.bounced = true
	}
	if c.Name != nil {
		e.name = c.Name
	}
	if c.Hidden != nil {
		e.hidden = c.Hidden
	}
	for _, m := range c.Members {
		if err := r.memberChange(e, m); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) memberChange(e *edit, c directory.MemberChange) error {
	if c.Removed {
		// The entry may come without a type: the id decides, and one that
		// is not known was no member.
		n, known, err := r.people.number(c.ID)
		if err != nil {
			return err
		}
		if known {
			e.members.Remove(n)
		}
		delete(e.children, c.ID)
		e.others.Remove(checksum(c.ID[:]))
		return nil
	}
	switch c.Kind {
	case directory.KindPerson:
		n, err := r.people.meet(c.ID)
		if err != nil {
			return err
		}
		e.members.Add(n)
	case directory.KindGroup:
		e.children[c.ID] = true
	case directory.KindOther:
		e.others.Add(checksum(c.ID[:]))
	}
	return nil
}

// finish settles the groups of a stream that has its link. Groups that a read
// from the start did not mention are asked for by id; a stream on which a
// group came back without its membership is read anew.
func (r *round) finish(ctx context.Context, j *job) error {
	if j.link == "" {
		var unseen []identity.ObjectID
		for _, id := range j.groups {
			if e := r.edit(j, id); !e.seen {
				unseen = append(unseen, id)
			}
		}
		infos, err := r.infos(ctx, unseen)
		if err != nil {
			return err
		}
		for _, info := range infos {
			j.edits[info.ID].result = r.absent(info)
		}
	}
	for _, id := range j.groups {
		e := j.edits[id]
		if e == nil || e.result != nil {
			continue
		}
		if e.result = r.result(j, id, e); e.result == nil {
			j.restart()
			return nil
		}
	}
	return nil
}

// result is the group after its stream; nil when the stream must be read from
// the start to know it.
//
//	stream   says                  was               then
//	any      removed (last word)   any               missing, membership kept
//	any      hidden                any               unreadable, membership kept
//	start    present               any               present, membership replaced
//	link     present               present           present, membership edited
//	link     removed, present      any               read anew
//	link     present               hidden            unreadable until it says not hidden
//	link     present               missing, unread   read anew
func (r *round) result(j *job, id identity.ObjectID, e *edit) *group {
	was := r.base.groups[id]
	g := r.kept(id)
	if e.name != nil {
		g.Name = *e.name
	}
	switch {
	case e.removal == directory.SoftDeleted:
		g.State, g.Why = directory.GroupMissing, whySoftDeleted
		return g
	case e.removal == directory.Deleted:
		g.State, g.Why = directory.GroupMissing, whyDeleted
		return g
	case e.hidden != nil && *e.hidden:
		g.State, g.Why = directory.GroupUnreadable, whyHidden
		return g
	case j.link == "":
	case was == nil || e.bounced:
		return nil
	case was.State == directory.GroupPresent:
	case was.Why == whyHidden && e.hidden == nil:
		return g
	default:
		return nil
	}
	g.State, g.Why, g.read = directory.GroupPresent, "", true
	g.Members, g.others = e.members, e.others
	g.Skipped = int(e.others.GetCardinality())
	g.Children = nil
	for child := range e.children {
		g.Children = append(g.Children, child)
	}
	slices.SortFunc(g.Children, identity.ObjectID.Compare)
	return g
}

// absent is a group as an answer by id describes it, when no stream does.
func (r *round) absent(info directory.GroupInfo) *group {
	g := r.kept(info.ID)
	if info.Name != "" {
		g.Name = info.Name
	}
	why := func(fallback string) string {
		if info.Why != "" {
			return info.Why
		}
		return fallback
	}
	switch {
	case info.State == directory.GroupMissing:
		g.State, g.Why = directory.GroupMissing, why(whyMissing)
	case info.State != directory.GroupPresent:
		g.State, g.Why = directory.GroupUnreadable, why(whyUnreadable)
	case info.Hidden:
		g.State, g.Why = directory.GroupUnreadable, whyHidden
	case info.Members > 0:
		// It is there and has members, and the stream did not say so: a
		// reply that lags behind, never an empty group.
		g.State, g.Why = directory.GroupUnreadable, whyPending
	default:
		g.State, g.Why, g.read = directory.GroupPresent, "", true
		g.Members, g.others, g.Children, g.Skipped = roaring.New(), roaring.New(), nil, 0
	}
	return g
}

// kept is a copy of the group as it was, or one that was never read.
func (r *round) kept(id identity.ObjectID) *group {
	if was := r.base.groups[id]; was != nil {
		g := *was
		return &g
	}
	return &group{Group: Group{ID: id, State: directory.GroupUnreadable, Why: whyPending, Members: roaring.New()}, others: roaring.New()}
}
