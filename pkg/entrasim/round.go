package entrasim

import "sync"

// item is one appearance of an object in a round. A group with many members
// appears several times.
type item struct {
	obj   uint32
	mask  uint64 // the properties that changed, allBits in a first round
	part  int    // which appearance of the object it is
	edges []edgeChange
}

// roundCache keeps the plans of rounds that are under way. A plan follows from
// its cursor alone, so one that was dropped is made again.
type roundCache struct {
	mu    sync.Mutex
	plans map[string][]item
	order []string
}

const maxPlans = 64

func (c *roundCache) get(key string, plan func() []item) []item {
	c.mu.Lock()
	items, ok := c.plans[key]
	c.mu.Unlock()
	if ok {
		return items
	}
	items = plan()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plans == nil {
		c.plans = map[string][]item{}
	}
	if _, ok := c.plans[key]; !ok {
		c.plans[key] = items
		c.order = append(c.order, key)
		if len(c.order) > maxPlans {
			delete(c.plans, c.order[0])
			c.order = c.order[1:]
		}
	}
	return items
}

// plan lists what the round of a cursor says, in order. It depends on the
// cursor and on the log before it alone, never on what happened since or on who
// asks: a plan that is made again must be the same, or an offset into it would
// skip somebody. What may not be shown is left out when the page is written.
// The caller holds the tenant's read lock.
func (t *Tenant) plan(c cursor) []item {
	return t.rounds.get(c.roundKey(), func() []item {
		if c.initial {
			return t.planInitial(c)
		}
		return t.planDelta(c)
	})
}

// planInitial is the state at the beginning of the round: what was created and
// deleted before does not appear [DOC].
func (t *Tenant) planInitial(c cursor) []item {
	var groups [][]item
	each := func(n uint32) {
		if n >= c.objects || t.objects[n].kind != c.kind {
			return
		}
		it := item{obj: n, mask: allBits}
		if c.sel.members {
			it.edges = t.listed(n, c)
		}
		groups = append(groups, split(it, max(int(c.shape.part), 1)))
	}
	if len(c.filter) > 0 {
		for _, id := range c.filter {
			if n, ok := t.byID[id]; ok {
				each(n)
			}
		}
	} else {
		for n := range c.objects {
			each(n)
		}
	}
	return arrange(groups, c.shape.interleave)
}

// listed is the member list of a group when the round began.
func (t *Tenant) listed(group uint32, c cursor) []edgeChange {
	members := t.membersAt(group, int(c.to))
	edges := make([]edgeChange, 0, len(members))
	for _, m := range members {
		edges = append(edges, edgeChange{member: m})
	}
	if c.shape.former {
		edges = append(edges, t.former(group, int(c.to))...)
	}
	return edges
}

// former lists members that left a group, as some first rounds do [ISSUE
// docs#6651, docs#17513].
func (t *Tenant) former(group uint32, position int) []edgeChange {
	last := map[uint32]op{}
	var order []uint32
	for _, e := range t.log[:position] {
		if e.obj != group || e.op == opObject || e.op == opAnnounce {
			continue
		}
		if _, seen := last[e.member]; !seen {
			order = append(order, e.member)
		}
		last[e.member] = e.op
	}
	var edges []edgeChange
	for _, m := range order {
		if last[m] == opRemove {
			edges = append(edges, edgeChange{member: m, removed: true})
		}
	}
	return edges
}

// planDelta is what changed in the span of the cursor and is being followed. A
// change of something that is not followed does not surface the object [DOC].
func (t *Tenant) planDelta(c cursor) []item {
	wanted := func(n uint32) bool { return t.objects[n].kind == c.kind }
	if len(c.filter) > 0 {
		set := make(map[uint32]bool, len(c.filter))
		for _, id := range c.filter {
			if n, ok := t.byID[id]; ok && t.objects[n].kind == c.kind {
				set[n] = true
			}
		}
		wanted = func(n uint32) bool { return set[n] }
	}
	changes := t.between(int(c.from), int(c.replay), int(c.to), wanted)
	if c.kind == User {
		items := make([]item, 0, len(changes))
		for _, change := range changes {
			if change.mask&(c.sel.mask|lifeBit) != 0 {
				items = append(items, item{obj: change.obj, mask: change.mask})
			}
		}
		return items
	}
	var groups [][]item
	for _, change := range changes {
		it := item{obj: change.obj, mask: change.mask}
		if c.sel.members {
			it.edges = change.edges
		}
		if it.mask&(c.sel.mask|lifeBit) != 0 || len(it.edges) > 0 {
			groups = append(groups, split(it, max(int(c.shape.part), 1)))
		}
	}
	return arrange(groups, c.shape.interleave)
}

// split cuts a long member list into several appearances of the group [DOC].
func split(it item, size int) []item {
	edges := it.edges
	parts := make([]item, 0, len(edges)/size+1)
	for len(edges) > size {
		parts = append(parts, item{obj: it.obj, mask: it.mask, part: len(parts), edges: edges[:size]})
		edges = edges[size:]
	}
	return append(parts, item{obj: it.obj, mask: it.mask, part: len(parts), edges: edges})
}

// arrange puts the appearances in order: group by group, or interleaved.
func arrange(groups [][]item, interleave bool) []item {
	var items []item
	if !interleave {
		for _, parts := range groups {
			items = append(items, parts...)
		}
		return items
	}
	for i := 0; ; i++ {
		any := false
		for _, parts := range groups {
			if i < len(parts) {
				items = append(items, parts[i])
				any = true
			}
		}
		if !any {
			return items
		}
	}
}
