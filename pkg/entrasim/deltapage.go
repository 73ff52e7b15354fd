package entrasim

import (
	"math/rand/v2"
	"net/http"
	"strings"
)

// page collects the entries of a delta page.
type page struct {
	call    *call
	minimal bool
	hidden  bool
	initial bool
	sel     selection

	sparse   *Fault
	keyOrder *Fault

	entries [][]byte
	members int
}

// deltaPage writes one page of the round of cur; onlyLink is the reply to
// latest.
func (c *call) deltaPage(cur cursor, onlyLink bool) reply {
	t := c.tenant
	p := &page{
		call:    c,
		initial: cur.initial,
		sel:     cur.sel,
		hidden:  c.mayReadHidden(),
		// [DOC] only shapes the reply, and only on a deltaLink's round.
		minimal: !cur.initial && (c.rules.AlwaysMinimal || strings.Contains(strings.ToLower(c.header.Get("Prefer")), "return=minimal")),
	}
	first := cur.offset == 0
	more := false
	empty := !onlyLink && c.fault(FaultEmptyPages) != nil // [DOC] empty value, follow on
	if !empty && !onlyLink {
		p.sparse, p.keyOrder = c.fault(FaultSparse), c.fault(FaultKeyOrder)
		t.mu.RLock()
		cur.offset, more = p.collect(t, cur)
		t.mu.RUnlock()
	}
	p.disturb(first)

	b := make([]byte, 0, 512+len(p.entries)*200)
	b = append(b, '{')
	b = appendField(b, "@odata.context", c.base+"/v1.0/$metadata#"+c.deltaContext(cur, first && cur.initial))
	name, link := "@odata.deltaLink", ""
	if more || empty || c.fault(FaultEndless) != nil {
		name = "@odata.nextLink"
		link = c.deltaURL(cur, false)
		if c.fault(FaultLoop) != nil {
			link = c.base + c.rawURL
		}
		link = c.foreignLink(FaultForeignNext, link)
	} else {
		link = c.foreignLink(FaultForeignDelta, c.deltaURL(cur, true))
	}
	if c.fault(FaultNoLink) == nil {
		b = appendField(b, name, link) // [DOC] exactly one of both
	}
	if c.fault(FaultNoValue) == nil {
		b = append(appendKey(b, "value"), '[')
		for i, entry := range p.entries {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, entry...)
		}
		b = append(b, ']')
	}
	return newReply(http.StatusOK, append(b, '}'))
}

// deltaContext names the plain properties on a first page and the bare
// collection afterwards [DOC samples].
func (c *call) deltaContext(cur cursor, first bool) string {
	name, s := "users", c.tenant.userSchema
	if cur.kind == Group {
		name, s = "groups", c.tenant.groupSchema
	}
	if !first || !cur.sel.explicit {
		return name
	}
	var names []string
	for i, n := range s.names {
		if cur.sel.mask>>i&1 != 0 {
			names = append(names, n)
		}
	}
	return name + "(" + strings.Join(names, ",") + ")"
}

// deltaURL is the link that continues after this page.
func (c *call) deltaURL(cur cursor, delta bool) string {
	cur.delta, cur.issued, cur.serial = delta, c.now, c.server.serial.Add(1)
	kind := "skip"
	if delta {
		kind = "delta"
		cur.from, cur.offset = cur.to, 0
	}
	path := "delta?$" + kind + "token="
	switch c.rules.Links {
	case SpelledPlain:
	case SpelledFunction:
		path = "delta()?$" + kind + "Token="
	case SpelledNamespace:
		path = "microsoft.graph.delta?%24" + kind + "token="
	case SpelledSlash:
		path = "microsoft.graph.delta()/?$" + strings.ToUpper(kind[:1]) + kind[1:] + "Token="
	}
	return c.base + "/v1.0/" + cur.kind.String() + "s/" + path + c.tenant.encode(cur)
}

// collect fills the page from the round and returns where the next begins.
func (p *page) collect(t *Tenant, cur cursor) (offset uint32, more bool) {
	if cur.initial && cur.kind == User && len(cur.filter) == 0 {
		return p.collectAll(t, cur)
	}
	items := t.plan(cur)
	offset = cur.offset
	for ; int(offset) < len(items); offset++ {
		it := items[offset]
		if p.full(t.rules, len(it.edges)) {
			return offset, true
		}
		p.add(t, it)
	}
	return offset, false
}

// collectAll reads the table of users in place: a first round over a million
// people needs no list of them.
func (p *page) collectAll(t *Tenant, cur cursor) (offset uint32, more bool) {
	end := min(cur.objects, uint32(len(t.objects)))
	for offset = cur.offset; offset < end; offset++ {
		if o := &t.objects[offset]; o.kind != User || !o.visible() {
			continue
		}
		if p.full(t.rules, 0) {
			return offset, true
		}
		p.add(t, item{obj: offset, mask: allBits})
	}
	return offset, false
}

func (p *page) full(rules Rules, members int) bool {
	return len(p.entries) >= rules.ObjectsPerPage ||
		len(p.entries) > 0 && p.members+members > rules.MembersPerPage
}

// add writes one entry, or nothing when the item has nothing to show.
func (p *page) add(t *Tenant, it item) {
	o := &t.objects[it.obj]
	switch {
	case o.flags&flagLagging != 0:
		return // reported when it becomes visible
	case o.state != live:
		// In a first round it is left out: deleted before, it does not appear;
		// deleted since, the next round says so.
		if !p.initial && it.part == 0 {
			b := appendID([]byte{'{'}, o.id)
			b = append(appendKey(b, "@removed"), `{"reason":"`+removalReason(o)+`"}}`...)
			p.entries = append(p.entries, b)
		}
		return
	}
	edges := p.shown(t, o, it.edges)
	if len(edges) == 0 && (it.part > 0 || it.mask&(p.sel.mask|lifeBit) == 0) {
		return
	}
	mask := p.sel.mask
	if p.minimal {
		mask &= it.mask // [DOC] unchanged properties are omitted
	}
	if p.sparse != nil && len(edges) > 0 {
		mask = 0
	}
	b := append(make([]byte, 0, 256+len(edges)*90), '{')
	b = t.appendProperties(b, o, mask, omitUnset)
	b = appendID(b, o.id)
	if len(edges) > 0 { // [DOC] no key, not [], when there is nothing to say
		b = append(appendKey(b, "members@delta"), '[')
		for i, e := range edges {
			if i > 0 {
				b = append(b, ',')
			}
			b = p.appendMember(b, &t.objects[e.member], e.removed)
		}
		b = append(b, ']')
		p.members += len(edges)
	}
	p.entries = append(p.entries, append(b, '}'))
}

// shown is what the caller gets to see of a member list: nothing of a hidden
// membership without the permission, and without an error [INFER graph.md 1.8];
// soft-deleted users as the rules say.
func (p *page) shown(t *Tenant, group *object, edges []edgeChange) []edgeChange {
	if group.flags&flagHidden != 0 && !p.hidden {
		return nil
	}
	if t.rules.SoftDeleted == MembersListed {
		return edges
	}
	shown := make([]edgeChange, 0, len(edges))
	for _, e := range edges {
		if o := &t.objects[e.member]; !e.removed && o.kind == User && o.state == softDeleted {
			if t.rules.SoftDeleted == MembersOmitted {
				continue
			}
			e.removed = true
		}
		shown = append(shown, e)
	}
	return shown
}

// removalReason is changed for what can be restored, deleted for what is gone
// [DOC].
func removalReason(o *object) string {
	if o.state == softDeleted {
		return "changed"
	}
	return "deleted"
}

// appendMember writes a members@delta entry. A removed member has the reason
// deleted, whatever removed it [DOC, ISSUE docs#5874].
func (p *page) appendMember(b []byte, o *object, removed bool) []byte {
	if p.keyOrder != nil { // the order of keys is not fixed
		b = append(b, '{')
		if removed {
			b = append(b, `"@removed":{"reason":"deleted"},`...)
		}
		b = append(b, `"id":"`...)
		b = append(b, o.id.String()...)
		b = append(b, `","@odata.type":"`...)
		b = append(b, o.kind.odataType()...)
		return append(b, `"}`...)
	}
	b = append(b, `{"@odata.type":"`...)
	b = append(b, o.kind.odataType()...)
	b = append(b, `","id":"`...)
	b = append(b, o.id.String()...)
	b = append(b, '"')
	if removed {
		b = append(b, `,"@removed":{"reason":"deleted"}`...)
	}
	return append(b, '}')
}

// disturb applies the faults of order and repetition, all of them legal [DOC].
func (p *page) disturb(first bool) {
	c := p.call
	if first && p.initial && (c.rules.RemovedInInitial || c.fault(FaultRemovedInInitial) != nil) {
		stranger := derivedID(Other, "a stranger who left before", 0)
		p.entries = append([][]byte{[]byte(`{"id":"` + stranger.String() + `","@removed":{"reason":"deleted"}}`)}, p.entries...)
	}
	if len(p.entries) == 0 {
		return
	}
	if f := c.fault(FaultRepeat); f != nil {
		n := min(max(f.Count, 1), len(p.entries))
		p.entries = append(p.entries, p.entries[:n]...)
	}
	if f := c.fault(FaultShuffle); f != nil {
		random := rand.New(rand.NewPCG(f.Seed, uint64(f.Fired())))
		random.Shuffle(len(p.entries), func(i, j int) {
			p.entries[i], p.entries[j] = p.entries[j], p.entries[i]
		})
	}
}
