package entrasim

import (
	"net/http"
	"slices"
	"strings"
)

// maxFilterIDs is the limit of a delta filter [DOC].
const maxFilterIDs = 50

// delta answers /users/delta and /groups/delta.
func (c *call) delta(kind Kind) reply {
	if kind == User && !c.mayReadUsers() || kind == Group && !c.mayReadGroups() {
		return c.denied()
	}
	if c.query.has("skiptoken") || c.query.has("deltatoken") {
		return c.deltaByToken(kind)
	}
	return c.deltaFromStart(kind, false)
}

// deltaFromStart begins a round that has no token: the current state, or with
// latest only a link.
func (c *call) deltaFromStart(kind Kind, latest bool) reply {
	sel, filter, bad := c.deltaQuery(kind)
	if bad != nil {
		return *bad
	}
	t := c.tenant
	if t.forbidden(filter...) {
		return c.denied()
	}
	t.mu.Lock()
	t.tracking = true
	cur := cursor{
		kind: kind, initial: true, sel: sel, filter: filter,
		to: uint32(t.position()), objects: uint32(len(t.objects)),
		incarnation: t.incarnation, epoch: t.epoch, shape: c.rules.shape(),
	}
	t.mu.Unlock()
	if latest {
		// [DOC] a link and no data; [third-party, graph.md 1.5] whose token no
		// longer follows memberships.
		if c.rules.LatestLosesMembers {
			cur.sel.members = false
		}
		return c.deltaPage(cur, true)
	}
	return c.deltaPage(cur, false)
}

// deltaQuery checks the parameters of a first request.
func (c *call) deltaQuery(kind Kind) (selection, []ID, *reply) {
	bad := func(code, message string) (selection, []ID, *reply) {
		r := c.failure(http.StatusBadRequest, code, message)
		return selection{}, nil, &r
	}
	for name := range c.query {
		switch name {
		case "select", "filter", "deltatoken", "skiptoken":
		case "expand":
			if !c.rules.ExpandAllowed || !strings.EqualFold(c.query[name], "members") {
				return bad(codeBadRequest, unsupportedInDelta(c.query.list(name)))
			}
		case "top", "orderby", "skip", "search", "count": // [DOC] not supported; [ISSUE] ignored
			if c.rules.TopRejected {
				return bad(codeRequestBad, "Unsupported query option '$"+name+"' for delta.")
			}
		}
	}
	s := c.tenant.userSchema
	if kind == Group {
		s = c.tenant.groupSchema
	}
	sel := selection{mask: s.standard, members: kind == Group} // [DOC] default set and members
	if names := c.query.list("select"); len(names) > 0 {
		var unknown []string
		sel = selection{explicit: true}
		sel.mask, sel.members, unknown = s.selectMask(names)
		if len(unknown) > 0 { // [ISSUE graph-explorer#3189]
			return bad(codeBadRequest, unsupportedInDelta(unknown))
		}
	}
	if c.query.has("expand") && kind == Group {
		sel.members = true
	}
	var filter []ID
	if c.query.has("filter") {
		ids, ok := idFilter(c.query["filter"])
		if !ok {
			return bad(codeRequestBad, "Filter not supported.") // [ISSUE powershell#1879]
		}
		limit := maxFilterIDs
		if c.rules.FilterIDs > 0 {
			limit = c.rules.FilterIDs
		}
		if len(ids) > limit { // [DOC] limit; the text is [INFER]
			return bad(codeRequestBad, "Too many objects in the filter of a delta query; the limit is "+itoa(limit)+".")
		}
		slices.SortFunc(ids, ID.Compare)
		filter = slices.Compact(ids)
	}
	return sel, filter, nil
}

func unsupportedInDelta(names []string) string {
	return "Invalid request for delta query: for this entity set, $expand/$select is not supported for the following properties: " + strings.Join(names, ",")
}

// deltaByToken continues a round or begins the next one.
func (c *call) deltaByToken(kind Kind) reply {
	text, isDelta := c.query["deltatoken"], true
	if !c.query.has("deltatoken") {
		text, isDelta = c.query["skiptoken"], false
	}
	path := "/" + kind.String() + "s/delta"
	switch {
	case isDelta && text == "": // the Location of a 410: a new start
		delete(c.query, "deltatoken")
		return c.deltaFromStart(kind, false)
	case isDelta && strings.EqualFold(text, "latest"):
		return c.deltaFromStart(kind, true)
	}
	if len(c.query) > 1 && c.rules.ExtraParametersRejected {
		return c.failure(http.StatusBadRequest, codeRequestBad, "Query parameters cannot be combined with a token.")
	}
	if r, ok := c.tokenFault(path, isDelta); ok {
		return r
	}
	t := c.tenant
	cur, err := t.decode(text)
	if err != nil || cur.kind != kind || cur.delta != isDelta {
		return c.failure(http.StatusBadRequest, codeRequestBad, "Badly formed token.") // [INFER]
	}
	if lost, r := c.tokenGone(cur, path); lost {
		return r
	}
	if t.forbidden(cur.filter...) {
		return c.denied()
	}
	if !isDelta {
		return c.deltaPage(cur, false)
	}
	t.mu.RLock()
	cur.from, cur.to = cur.to, uint32(t.position())
	t.mu.RUnlock()
	cur.initial, cur.delta, cur.offset, cur.shape = false, false, 0, c.rules.shape()
	cur.replay = 0
	if f := c.fault(FaultReplay); f != nil { // [DOC] replays are legal
		cur.replay = min(cur.from, uint32(max(f.Count, 1)))
	}
	return c.deltaPage(cur, false)
}

// tokenGone tells whether the token has expired or was revoked.
func (c *call) tokenGone(cur cursor, path string) (bool, reply) {
	t := c.tenant
	t.mu.RLock()
	revoked := cur.epoch != t.epoch
	foreign := cur.incarnation != t.incarnation || int(cur.to) > t.position()
	t.mu.RUnlock()
	if revoked { // [DOC] service reset: 410 and Location
		return true, c.tokenLost(true, path)
	}
	age, ttl := c.now.Sub(cur.issued), c.rules.TokenTTL
	if !cur.delta {
		ttl = c.rules.SkipTTL
	}
	if foreign || !c.rules.Lenient && ttl > 0 && age > ttl {
		return true, c.tokenLost(c.rules.ExpiredGone, path)
	}
	return false, reply{}
}
