package entrasim

// The change log is the heart of delta: a position in it is a state of the
// tenant, and what happened between two positions is what a round reports.
// Every delta token names positions; nothing else is remembered for a client.

// entry is one change.
type entry struct {
	mask   uint64 // opObject: which properties, allBits for the whole object
	obj    uint32
	member uint32 // membership entries
	op     op
}

type op uint8

const (
	opObject   op = iota // properties or life of obj changed
	opAdd                // member joined obj
	opRemove             // member left obj
	opVanish             // member left obj and the service never says so
	opAnnounce           // nothing changed, the edge is reported again
)

const allBits = ^uint64(0)

// record appends to the log, once somebody follows the tenant.
func (t *Tenant) record(e entry) {
	if t.tracking {
		t.log = append(t.log, e)
	}
}

// position is where the log ends now.
func (t *Tenant) position() int { return len(t.log) }

// membersAt is the member list of a group as it was at a position.
func (t *Tenant) membersAt(group uint32, position int) []uint32 {
	now := t.objects[group].group.members
	undo := map[uint32]bool{} // member → present at position
	for i := len(t.log) - 1; i >= position; i-- {
		e := t.log[i]
		if e.obj != group {
			continue
		}
		switch e.op {
		case opAdd:
			undo[e.member] = false
		case opRemove, opVanish:
			undo[e.member] = true
		case opObject, opAnnounce:
		}
	}
	then := make([]uint32, 0, len(now)+len(undo))
	for _, m := range now {
		if _, touched := undo[m]; !touched {
			then = append(then, m)
		}
	}
	for m, present := range undo {
		if present {
			then, _ = insertSorted(then, m)
		}
	}
	return then
}

// touched is what a span of the log says of one object.
type touched struct {
	obj   uint32
	mask  uint64
	edges []edgeChange
}

// edgeChange is the net effect of a span on one membership.
type edgeChange struct {
	member  uint32
	removed bool
}

// edgeSpan follows one membership through a span.
type edgeSpan struct {
	member    uint32
	before    bool
	after     bool
	announced bool
}

// between lists the objects that wanted picks and that changed after from, up
// to and including to, in the order of their first change. A membership that
// came and went, or went and came back, has not changed. The replay changes
// before from are said again, each as the state that it led to by now.
func (t *Tenant) between(from, replay, to int, wanted func(uint32) bool) []touched {
	var order []uint32
	masks := map[uint32]uint64{}
	edges := map[uint32][]uint32{} // group → indexes into spans
	var spans []edgeSpan
	index := map[[2]uint32]uint32{}
	for i, e := range t.log[from-replay : to] {
		if !wanted(e.obj) {
			continue
		}
		if _, seen := masks[e.obj]; !seen {
			masks[e.obj] = 0
			order = append(order, e.obj)
		}
		if e.op == opObject {
			masks[e.obj] |= e.mask
			continue
		}
		key := [2]uint32{e.obj, e.member}
		at, seen := index[key]
		if !seen {
			at = uint32(len(spans))
			index[key] = at
			spans = append(spans, edgeSpan{member: e.member, before: e.op != opAdd, after: e.op != opAdd})
			edges[e.obj] = append(edges[e.obj], at)
		}
		if i < replay {
			spans[at].announced = true
		}
		switch s := &spans[at]; e.op {
		case opAdd:
			s.after = true
		case opRemove:
			s.after = false
		case opVanish:
			s.before, s.after, s.announced = false, false, false
		case opAnnounce:
			s.announced = true
		case opObject:
		}
	}
	list := make([]touched, 0, len(order))
	for _, obj := range order {
		c := touched{obj: obj, mask: masks[obj]}
		for _, at := range edges[obj] {
			s := spans[at]
			if s.before != s.after || s.announced {
				c.edges = append(c.edges, edgeChange{member: s.member, removed: !s.after})
			}
		}
		list = append(list, c)
	}
	return list
}
