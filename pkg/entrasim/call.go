package entrasim

import (
	"net/http"
	"strings"
	"time"
)

// call is one Graph request: from the network, or from inside a batch.
type call struct {
	server *Server
	tenant *Tenant
	app    App
	rules  Rules
	now    time.Time

	request *http.Request
	method  string
	path    string // below /v1.0, without a trailing slash
	query   query
	unnamed bool
	header  http.Header
	body    []byte
	inner   bool
	base    string // https://host
	rawURL  string // path and query as asked

	requestID       string
	clientRequestID string
	units           int     // resource units
	share           float64 // of the bucket, this request included
}

// roles tells what the app may do now.
func (c *call) may(any ...string) bool {
	for _, role := range c.app.Roles {
		for _, wanted := range any {
			if strings.EqualFold(role, wanted) {
				return true
			}
		}
	}
	return false
}

// Who may call what: least permission first [DOC graph.md 5].
func (c *call) mayReadGroups() bool {
	return c.may(PermMembers, PermGroups, PermDirectory, "GroupMember.ReadWrite.All", "Group.ReadWrite.All", "Directory.ReadWrite.All")
}

func (c *call) mayReadUsers() bool {
	return c.may(PermUsers, PermDirectory, "User.ReadWrite.All", "Directory.ReadWrite.All")
}

func (c *call) mayReadHidden() bool { return c.may(PermHidden) }

// fault takes a fault of the kind that applies to this request, if one is set.
func (c *call) fault(kind FaultKind) *Fault {
	return c.server.faults.take(kind, c.path, c.inner)
}

// answer is the reply to the call, faults of content included, faults of the
// wire left to the caller.
func (c *call) answer() reply {
	r, refused := c.refusal()
	if !refused {
		r = c.route()
	}
	c.server.stats.answered(r.status)
	r.header.Set("request-id", c.requestID)
	r.header.Set("client-request-id", c.clientRequestID)
	r.header.Set("x-ms-ags-diagnostic", `{"ServerInfo":{"DataCenter":"Simulated","Slice":"E","Ring":"1","ScaleUnit":"000","RoleInstance":"SIM"}}`)
	r.header.Set("x-ms-resource-unit", itoa(max(c.units, 1))) // [DOC throttling-limits]
	c.sayShare(r)
	if f := c.fault(FaultEmptyObject); f != nil {
		r = newReply(orStatus(f, http.StatusBadRequest), []byte(`{}`))
	}
	return r
}

// refusal answers in place of the handler: throttling and the failures that
// were ordered.
func (c *call) refusal() (reply, bool) {
	if r, ok := c.orderedFailure(); ok {
		return r, true
	}
	if c.unnamed { // [ISSUE docs#20602]
		return c.failure(http.StatusBadRequest, codeRequestBad, "Unrecognized query argument specified: ''."), true
	}
	return reply{}, false
}

// route finds the handler. The spellings /delta, /delta(), /microsoft.graph.delta
// and /microsoft.graph.delta() are one [DOC, RAN].
func (c *call) route() reply {
	parts := strings.Split(strings.Trim(c.path, "/"), "/")
	for i, p := range parts {
		p = strings.TrimSuffix(p, "()")
		if lower := strings.ToLower(p); lower == "microsoft.graph.delta" {
			p = "delta"
		}
		parts[i] = p
	}
	collection := strings.ToLower(parts[0])
	if c.method == http.MethodPost {
		switch {
		case collection == "$batch" && len(parts) == 1:
			return c.batch()
		case collection == "directoryobjects" && len(parts) == 2 && strings.HasSuffix(strings.ToLower(parts[1]), "getbyids"):
			return c.getByIDs()
		}
		return c.failure(http.StatusMethodNotAllowed, codeRequestBad, "Specified HTTP method is not allowed for the request target.")
	}
	if c.method != http.MethodGet {
		return c.failure(http.StatusMethodNotAllowed, codeRequestBad, "Specified HTTP method is not allowed for the request target.")
	}
	switch {
	case (collection == "users" || collection == "groups") && len(parts) == 1:
		return c.list(collection)
	case (collection == "users" || collection == "groups") && len(parts) == 2 && strings.EqualFold(parts[1], "delta"):
		kind := User
		if collection == "groups" {
			kind = Group
		}
		return c.delta(kind)
	case (collection == "users" || collection == "groups") && len(parts) == 2 && parts[1] == "$count":
		return c.countAll(collection)
	case collection == "users" && len(parts) == 2:
		return c.getObject(User, parts[1])
	case collection == "groups" && len(parts) == 2:
		return c.getObject(Group, parts[1])
	case collection == "groups" && len(parts) >= 3:
		return c.memberList(parts[1], parts[2:])
	case collection == "organization" && len(parts) == 1:
		return c.organization()
	}
	return c.failure(http.StatusBadRequest, codeBadRequest, "Resource not found for the segment '"+parts[len(parts)-1]+"'.")
}
