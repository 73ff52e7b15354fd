package entrasim

import (
	"net/http"
	"slices"
	"strings"
)

// memberList answers /groups/{id}/members and /transitiveMembers, with an OData
// cast and $count.
func (c *call) memberList(group string, rest []string) reply {
	if !c.mayReadGroups() {
		return c.denied()
	}
	transitive := strings.EqualFold(rest[0], "transitiveMembers")
	if !transitive && rest[0] != "members" {
		return c.failure(http.StatusBadRequest, codeBadRequest, "Resource not found for the segment '"+rest[0]+"'.")
	}
	kind, cast, counting := Other, false, false
	for _, segment := range rest[1:] {
		switch strings.ToLower(segment) {
		case "$count":
			counting = true
		case "microsoft.graph.user":
			kind, cast = User, true
		case "microsoft.graph.group":
			kind, cast = Group, true
		case "$ref":
		default: // [DOC-new]
			return c.failure(http.StatusBadRequest, codeUnsupported, "The query for this cast type is not supported: '"+segment+"'.")
		}
	}
	// [DOC-old] a cast is an advanced query.
	if cast && !counting && c.rules.CastNeedsCount &&
		(!strings.EqualFold(c.header.Get("ConsistencyLevel"), "eventual") || !strings.EqualFold(c.query["count"], "true")) {
		return c.failure(http.StatusBadRequest, codeUnsupported, "OData cast needs $count=true and the header ConsistencyLevel: eventual.")
	}
	g, ok := c.lookUp(Group, group)
	if !ok {
		return c.notFound(group)
	}
	masks, bad := c.maskByKind()
	if bad != nil {
		return *bad
	}
	t := c.tenant
	t.mu.RLock()
	defer t.mu.RUnlock()
	flags := t.objects[g].flags
	if flags&flagForbidden != 0 || flags&flagHidden != 0 && !c.mayReadHidden() && c.rules.HiddenForbidden {
		return c.denied()
	}
	members := c.membersOf(g, transitive)
	members = slices.DeleteFunc(members, func(n uint32) bool {
		o := &t.objects[n]
		return !o.visible() || cast && o.kind != kind ||
			o.kind == ServicePrincipal && !c.rules.ServicePrincipalsListed // [DOC known issue]
	})
	if counting {
		return c.number(len(members))
	}
	return c.paged("directoryObjects", func(yield func(uint32) bool) {
		for _, n := range members {
			if !yield(n) {
				return
			}
		}
	}, func(b []byte, o *object) []byte { return c.appendTyped(b, o, masks) })
}

// membersOf lists the members in the order of the table. Hidden memberships are
// left out where the app may not read them, without an error [INFER].
func (c *call) membersOf(group uint32, transitive bool) []uint32 {
	t := c.tenant
	may := func(g uint32) bool {
		o := &t.objects[g]
		return o.group != nil && o.visible() && (o.flags&flagHidden == 0 || c.mayReadHidden())
	}
	if !may(group) {
		return nil
	}
	if !transitive {
		return slices.Clone(t.objects[group].group.members)
	}
	reached := map[uint32]bool{}
	queue := []uint32{group}
	for len(queue) > 0 {
		g := queue[0]
		queue = queue[1:]
		for _, m := range t.objects[g].group.members {
			if reached[m] {
				continue
			}
			reached[m] = true
			if may(m) {
				queue = append(queue, m)
			}
		}
	}
	members := make([]uint32, 0, len(reached))
	for n := range reached {
		members = append(members, n)
	}
	slices.Sort(members)
	return members
}
