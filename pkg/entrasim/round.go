package entrasim

import "sync"

// item is one appearance of an object in a round. A group with many members
// appears several times.
type item struct {
	obj   uint32
	mask  uint64 // delta: the properties that changed
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

func (c *roundCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plans, c.order = nil, nil
}

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

// plan lists what the round of a cursor says, in order. hidden is set when the
// caller may read hidden memberships. The caller holds the tenant's read lock.
func (t *Tenant) plan(c cursor, hidden bool) []item {
	key := c.roundKey()
	if hidden {
		key += "h"
	}
	return t.rounds.get(key, func() []item {
		if c.initial {
			return t.planInitial(c, hidden)
		}
		return t.planDelta(c, hidden)
	})
}

// planInitial is the current state: what was created and deleted before does
// not appear [DOC].
func (t *Tenant) planInitial(c cursor, hidden bool) []item {
	var items []item
	var parts [][]item
	each := func(n uint32) {
		o := &t.objects[n]
		if o.kind != c.kind || !o.visible() {
			return
		}
		if c.kind == Group && c.sel.members && (hidden || o.flags&flagHidden == 0) {
			parts = append(parts, t.split(item{obj: n, mask: allBits, edges: t.listed(n, int(c.to))}))
			return
		}
		items = append(items, item{obj: n, mask: allBits})
	}
	if len(c.filter) > 0 {
		for _, id := range c.filter {
			if n, ok := t.byID[id]; ok {
				each(n)
			}
		}
	} else {
		for n := range min(c.objects, uint32(len(t.objects))) {
			each(n)
		}
	}
	return append(items, t.arrange(parts)...)
}

// listed is the member list of a group as an initial round shows it.
func (t *Tenant) listed(group uint32, position int) []edgeChange {
	members := t.membersAt(group, position)
	edges := make([]edgeChange, 0, len(members))
	for _, m := range members {
		gone := t.objects[m].state == softDeleted
		if gone && t.rules.SoftDeleted == MembersOmitted {
			continue
		}
		edges = append(edges, edgeChange{member: m, removed: gone && t.rules.SoftDeleted == MembersRemoved})
	}
	if t.rules.RemovedInInitial {
		edges = append(edges, t.former(group, position)...)
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

// planDelta is what changed in the span of the cursor and is being followed.
func (t *Tenant) planDelta(c cursor, hidden bool) []item {
	var wanted func(n uint32) bool
	if len(c.filter) > 0 {
		set := make(map[uint32]bool, len(c.filter))
		for _, id := range c.filter {
			if n, ok := t.byID[id]; ok {
				set[n] = true
			}
		}
		wanted = func(n uint32) bool { return set[n] && t.objects[n].kind == c.kind }
	} else {
		wanted = func(n uint32) bool { return t.objects[n].kind == c.kind }
	}
	var items []item
	var parts [][]item
	for _, change := range t.between(int(c.from), int(c.to), wanted) {
		o := &t.objects[change.obj]
		it := item{obj: change.obj, mask: change.mask}
		if c.sel.members && o.state == live && (hidden || o.flags&flagHidden == 0) {
			it.edges = change.edges
			for i, e := range it.edges {
				if !e.removed && t.objects[e.member].state == softDeleted && t.rules.SoftDeleted == MembersRemoved {
					it.edges[i].removed = true
				}
			}
		}
		// A change of something that is not followed does not surface the
		// object [DOC].
		if it.mask&(c.sel.mask|lifeBit) == 0 && len(it.edges) == 0 {
			continue
		}
		if len(it.edges) > 0 {
			parts = append(parts, t.split(it))
		} else {
			items = append(items, it)
		}
	}
	return append(items, t.arrange(parts)...)
}

// split cuts a long member list into several appearances of the group [DOC].
func (t *Tenant) split(it item) []item {
	edges := it.edges
	size := min(t.rules.MembersPerItem, t.rules.MembersPerPage)
	parts := make([]item, 0, len(edges)/size+1)
	for len(edges) > size {
		parts = append(parts, item{obj: it.obj, mask: it.mask, edges: edges[:size]})
		edges = edges[size:]
	}
	return append(parts, item{obj: it.obj, mask: it.mask, edges: edges})
}

// arrange puts the appearances in order: group by group, or interleaved.
func (t *Tenant) arrange(groups [][]item) []item {
	var items []item
	if !t.rules.Interleave {
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
