package entrasim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

const (
	defaultTop = 100 // [DOC]
	maxTop     = 999 // [DOC]
	maxIDs     = 1000
)

func (c *call) schemaOf(kind Kind) *schema {
	if kind == Group {
		return c.tenant.groupSchema
	}
	return c.tenant.userSchema
}

// mayRead tells whether the app reads more than the ids of a kind.
func (c *call) mayRead(kind Kind) bool {
	switch kind {
	case User:
		return c.mayReadUsers()
	case Group:
		return c.mayReadGroups()
	case Device, ServicePrincipal, OrgContact, Other:
	}
	return c.may(PermDirectory)
}

// selected is the mask of the $select of an ordinary read.
func (c *call) selected(s *schema) (uint64, *reply) {
	names := c.query.list("select")
	if len(names) == 0 {
		return s.standard, nil
	}
	mask, _, unknown := s.selectMask(names)
	if len(unknown) > 0 {
		r := c.failure(http.StatusBadRequest, codeBadRequest, "Could not find a property named '"+unknown[0]+"' on type '"+s.typeName+"'.") // [INFER]
		return 0, &r
	}
	return mask, nil
}

// getObject answers GET /users/{id} and GET /groups/{id}. A user is also found
// by sign-in name.
func (c *call) getObject(kind Kind, name string) reply {
	if !c.mayRead(kind) {
		return c.denied()
	}
	mask, bad := c.selected(c.schemaOf(kind))
	if bad != nil {
		return *bad
	}
	n, ok := c.lookUp(kind, name)
	if !ok {
		return c.notFound(name)
	}
	t := c.tenant
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.objects[n].flags&flagForbidden != 0 {
		return c.denied()
	}
	b := []byte{'{'}
	b = appendField(b, "@odata.context", c.base+"/v1.0/$metadata#"+kind.String()+"s/$entity")
	b = t.appendProperties(b, &t.objects[n], mask, nullUnset)
	b = appendID(b, t.objects[n].id)
	return newReply(http.StatusOK, append(b, '}'))
}

// lookUp finds what can be read: deleted objects cannot.
func (c *call) lookUp(kind Kind, name string) (uint32, bool) {
	t := c.tenant
	if id, err := identity.ParseObjectID(name); err == nil {
		t.mu.RLock()
		defer t.mu.RUnlock()
		n, ok := t.byID[id]
		return n, ok && t.objects[n].kind == kind && t.objects[n].visible()
	}
	if kind != User {
		return 0, false
	}
	t.mu.Lock() // named may build its index
	defer t.mu.Unlock()
	for _, n := range t.named(User, name) {
		if t.objects[n].visible() {
			return n, true
		}
	}
	return 0, false
}

// list answers GET /users and GET /groups with $filter (one comparison),
// $search, $top, $count and paging.
func (c *call) list(collection string) reply {
	kind := User
	if collection == "groups" {
		kind = Group
	}
	if !c.mayRead(kind) {
		return c.denied()
	}
	s := c.schemaOf(kind)
	mask, bad := c.selected(s)
	if bad != nil {
		return *bad
	}
	match, bad := c.matcher(s)
	if bad != nil {
		return *bad
	}
	t := c.tenant
	t.mu.RLock()
	defer t.mu.RUnlock()
	return c.paged(collection, func(yield func(n uint32) bool) {
		for n := range uint32(len(t.objects)) {
			o := &t.objects[n]
			if o.kind == kind && o.visible() && match(o) && !yield(n) {
				return
			}
		}
	}, func(b []byte, o *object) []byte {
		b = t.appendProperties(b, o, mask, nullUnset)
		return appendID(b, o.id)
	})
}

// matcher reads $filter and $search of a list call.
func (c *call) matcher(s *schema) (func(*object) bool, *reply) {
	fail := func(message string) (func(*object) bool, *reply) {
		r := c.failure(http.StatusBadRequest, codeUnsupported, message)
		return nil, &r
	}
	if c.query.has("search") {
		if !strings.EqualFold(c.header.Get("ConsistencyLevel"), "eventual") { // [DOC]
			return fail("Request with $search query parameter only works through MSGraph with a special request header: 'ConsistencyLevel: eventual'")
		}
		term, ok := parseSearch(c.query["search"])
		if !ok {
			return fail(`Unrecognized $search; want "displayName:text" in quotes.`)
		}
		name := displayProperty(s)
		return func(o *object) bool {
			value, _ := o.value(name)
			return matchesSearch(value, term)
		}, nil
	}
	if !c.query.has("filter") {
		return func(*object) bool { return true }, nil
	}
	cond, ok := parseCondition(c.query["filter"])
	if !ok {
		return fail("Unsupported or invalid query filter clause specified.")
	}
	if cond.property == "id" && !cond.prefix {
		return func(o *object) bool { return strings.EqualFold(o.id.String(), cond.value) }, nil
	}
	p, ok := s.byPath[cond.property]
	if !ok || p == userAccountEnabled && s == c.tenant.userSchema {
		return fail("Unsupported or invalid query filter clause specified for property '" + cond.property + "' of resource '" + s.typeName + "'.")
	}
	wanted := identity.Fold(cond.value)
	return func(o *object) bool {
		value, _ := o.value(p)
		value = identity.Fold(value)
		return value == wanted || cond.prefix && strings.HasPrefix(value, wanted)
	}, nil
}

func displayProperty(s *schema) property {
	return s.byPath["displayname"]
}

// paged writes a collection: $top entries from $skiptoken on, a nextLink when
// there are more, and the count when it was asked for. The caller holds the
// read lock.
func (c *call) paged(collection string, each func(func(uint32) bool), write func([]byte, *object) []byte) reply {
	top := defaultTop
	if text, ok := c.query["top"]; ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxTop {
			return c.failure(http.StatusBadRequest, codeRequestBad, "Invalid page size specified: '"+text+"'. Must be between 1 and 999 inclusive.")
		}
		top = n
	}
	from := uint32(0)
	if text, ok := c.query["skiptoken"]; ok {
		cur, err := c.tenant.decode(text)
		if err != nil || cur.kind != Other {
			return c.failure(http.StatusBadRequest, codeRequestBad, "Badly formed token.")
		}
		if c.rules.SkipTTL > 0 && c.now.Sub(cur.issued) > c.rules.SkipTTL { // [Q&A 2337800]
			return c.failure(http.StatusBadRequest, "Directory_ExpiredPageToken", "The specified page token value has expired and can no longer be included in your request.")
		}
		from = cur.offset
	}
	count, total, next := 0, 0, uint32(0)
	var entries []byte
	counting := strings.EqualFold(c.query["count"], "true")
	each(func(n uint32) bool {
		total++
		if n < from {
			return true
		}
		if count == top {
			if next == 0 {
				next = n
			}
			return counting
		}
		if count++; count > 1 {
			entries = append(entries, ',')
		}
		entries = append(write(append(entries, '{'), &c.tenant.objects[n]), '}')
		return true
	})
	b := []byte{'{'}
	b = appendField(b, "@odata.context", c.base+"/v1.0/$metadata#"+collection)
	if counting {
		b = append(appendKey(b, "@odata.count"), itoa(total)...)
	}
	if next != 0 {
		b = appendField(b, "@odata.nextLink", c.foreignLink(FaultForeignNext, c.nextList(next)))
	}
	if c.fault(FaultNoValue) == nil {
		b = append(appendKey(b, "value"), '[')
		b = append(append(b, entries...), ']')
	}
	return newReply(http.StatusOK, append(b, '}'))
}

// nextList is the address of the next page: the same one, with a token.
func (c *call) nextList(next uint32) string {
	path, raw, _ := strings.Cut(c.rawURL, "?")
	var kept []string
	for part := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(strings.ToLower(part), "=")
		if part != "" && !strings.HasSuffix(name, "skiptoken") {
			kept = append(kept, part)
		}
	}
	token := c.tenant.encode(cursor{kind: Other, offset: next, issued: c.now, serial: c.server.serial.Add(1)})
	return c.base + path + "?" + strings.Join(append(kept, "$skiptoken="+token), "&")
}

// countAll answers /users/$count and /groups/$count.
func (c *call) countAll(collection string) reply {
	kind := User
	if collection == "groups" {
		kind = Group
	}
	if !c.mayRead(kind) {
		return c.denied()
	}
	t := c.tenant
	t.mu.RLock()
	people, groups, _ := t.size()
	t.mu.RUnlock()
	if kind == Group {
		people = groups
	}
	return c.number(people)
}

// number is the text/plain reply of $count, which needs the header [DOC].
func (c *call) number(n int) reply {
	if !strings.EqualFold(c.header.Get("ConsistencyLevel"), "eventual") {
		return c.failure(http.StatusBadRequest, codeBadRequest, "$count is not currently supported without the header 'ConsistencyLevel: eventual'.")
	}
	r := newReply(http.StatusOK, []byte(c.rules.CountPrefix+itoa(n)))
	r.header.Set("Content-Type", "text/plain")
	return r
}

// getByIDs answers POST /directoryObjects/getByIds: at most 1000 ids; unknown
// and deleted ones are absent [INFER].
func (c *call) getByIDs() reply {
	var body struct {
		IDs   []string `json:"ids"`
		Types []string `json:"types"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil {
		return c.failure(http.StatusBadRequest, codeBadRequest, "Unable to read JSON request payload.")
	}
	if len(body.IDs) == 0 || len(body.IDs) > maxIDs {
		return c.failure(http.StatusBadRequest, codeRequestBad, "Invalid number of ids: "+itoa(len(body.IDs))+". Between 1 and 1000 are allowed.")
	}
	if c.rules.GetByIDsNeedsDirectory && !c.may(PermDirectory) || !c.mayReadUsers() && !c.mayReadGroups() {
		return c.denied()
	}
	masks, bad := c.maskByKind()
	if bad != nil {
		return *bad
	}
	t := c.tenant
	t.mu.RLock()
	defer t.mu.RUnlock()
	b := []byte{'{'}
	b = appendField(b, "@odata.context", c.base+"/v1.0/$metadata#directoryObjects")
	b = append(appendKey(b, "value"), '[')
	first := true
	for _, text := range body.IDs {
		id, err := identity.ParseObjectID(text)
		if err != nil {
			return c.failure(http.StatusBadRequest, codeRequestBad, "Invalid GUID: "+text)
		}
		n, ok := t.byID[id]
		if !ok || !t.objects[n].visible() || !hasType(body.Types, t.objects[n].kind) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(c.appendTyped(append(b, '{'), &t.objects[n], masks), '}')
	}
	return newReply(http.StatusOK, append(b, "]}"...))
}

// kindMasks are the selected properties of users and groups.
type kindMasks struct{ user, group uint64 }

// maskByKind reads a $select over objects of several types: a property must
// exist on one of them.
func (c *call) maskByKind() (kindMasks, *reply) {
	u, g := c.tenant.userSchema, c.tenant.groupSchema
	names := c.query.list("select")
	if len(names) == 0 {
		return kindMasks{u.standard, g.standard}, nil
	}
	userMask, _, unknownUser := u.selectMask(names)
	groupMask, _, unknownGroup := g.selectMask(names)
	for _, name := range unknownUser {
		if slices.Contains(unknownGroup, name) {
			r := c.failure(http.StatusBadRequest, codeBadRequest, "Could not find a property named '"+name+"' on type 'microsoft.graph.directoryObject'.")
			return kindMasks{}, &r
		}
	}
	return kindMasks{userMask, groupMask}, nil
}

// appendTyped writes an entry of a mixed collection. A type that the app may
// not read is id and type alone [DOC limited-info].
func (c *call) appendTyped(b []byte, o *object, masks kindMasks) []byte {
	b = appendField(b, "@odata.type", o.kind.odataType())
	b = appendID(b, o.id)
	switch {
	case !c.mayRead(o.kind):
		return b
	case o.kind == User:
		return c.tenant.appendProperties(b, o, masks.user, nullUnset)
	case o.kind == Group:
		return c.tenant.appendProperties(b, o, masks.group, nullUnset)
	}
	return appendProperty(b, "displayName", o, groupDisplayName, nullUnset)
}

func hasType(types []string, kind Kind) bool {
	for _, name := range types {
		if strings.EqualFold("#microsoft.graph."+strings.TrimPrefix(name, "microsoft.graph."), kind.odataType()) {
			return true
		}
		if strings.EqualFold(name, "directoryObject") {
			return true
		}
	}
	return len(types) == 0
}

// organization answers GET /organization, which names the tenant.
func (c *call) organization() reply {
	b := []byte{'{'}
	b = appendField(b, "@odata.context", c.base+"/v1.0/$metadata#organization")
	b = append(b, `,"value":[{"id":"`+c.tenant.id.String()+`","displayName":"Contoso"}]}`...)
	return newReply(http.StatusOK, b)
}
