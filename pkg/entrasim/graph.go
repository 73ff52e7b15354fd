package entrasim

import (
	"io"
	"net/http"
	"strings"
)

// maxBody is more than any request that the service accepts.
const maxBody = 4 << 20

// serveGraph answers a request to /v1.0.
func (s *Server) serveGraph(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request body too large", http.StatusRequestEntityTooLarge)
		return
	}
	c := s.newCall(r.Method, r.URL.RequestURI(), r.Header)
	c.request, c.body, c.base = r, body, baseURL(r)
	s.stats.asked(r.Method+" "+r.URL.RequestURI(), false)
	s.stats.count(c.statKind())

	who := s.authenticate(r.Header)
	if who == nil {
		s.send(w, r, c.unauthorized(), c.path)
		return
	}
	c.identify(who)
	if !who.claims {
		if f := c.fault(FaultClaims); f != nil {
			rep := c.claimsChallenge(c.base)
			s.stats.answered(rep.status)
			s.send(w, r, rep, c.path)
			return
		}
	}
	s.send(w, r, c.answer(), c.path)
}

// newCall reads path and parameters of a request target below the host.
func (s *Server) newCall(method, target string, header http.Header) *call {
	path, raw, _ := strings.Cut(target, "?")
	c := &call{server: s, method: method, header: header, rawURL: target, requestID: s.newRequestID()}
	c.query, c.unnamed = parseQuery(raw)
	c.path = plainPath(strings.TrimPrefix(path, "/v1.0"))
	c.clientRequestID = header.Get("client-request-id")
	if c.clientRequestID == "" {
		c.clientRequestID = c.requestID
	}
	return c
}

func (c *call) identify(who *bearer) {
	c.tenant, c.app = who.tenant, who.app
	c.tenant.settle()
	c.rules, c.now = c.tenant.Rules(), c.tenant.Now()
	c.units = c.price() * max(c.rules.UnitFactor, 1)
}

// plainPath writes the spellings of a path as one: no trailing slash, no
// parentheses, no namespace before a function [DOC, RAN]. Escapes of the path
// are resolved.
func plainPath(path string) string {
	path = strings.NewReplacer("%28", "(", "%29", ")", "%24", "$", "%2F", "/").Replace(path)
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, p := range parts {
		p = strings.TrimSuffix(p, "()")
		switch strings.ToLower(p) {
		case "microsoft.graph.delta", "delta":
			p = "delta"
		case "users", "groups":
			p = strings.ToLower(p)
		case "microsoft.graph.getbyids", "getbyids":
			p = "getByIds"
		}
		parts[i] = p
	}
	return "/" + strings.Join(parts, "/")
}

// unauthorized is the 401 of a request without a good token.
func (c *call) unauthorized() reply {
	c.server.stats.answered(http.StatusUnauthorized)
	for _, t := range c.server.tenants {
		c.now = t.Now() // any tenant's: the request names none
		break
	}
	r := c.failure(http.StatusUnauthorized, codeAuth, "Access token has expired or is not yet valid.")
	r.header.Set("WWW-Authenticate", `Bearer realm="", authorization_uri="`+c.base+`/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"`)
	r.header.Set("request-id", c.requestID)
	r.header.Set("client-request-id", c.clientRequestID)
	return r
}

// statKind is under what the request is counted.
func (c *call) statKind() string {
	parts := strings.Split(strings.Trim(c.path, "/"), "/")
	last := parts[len(parts)-1]
	switch {
	case last == "delta":
		return "delta"
	case last == "$batch":
		return "batch"
	case last == "getByIds":
		return "getByIds"
	case last == "$count":
		return "count"
	case len(parts) >= 3 && parts[2] == "members":
		return "members"
	case len(parts) >= 3 && strings.EqualFold(parts[2], "transitiveMembers"):
		return "transitive"
	case len(parts) == 2:
		return "get"
	case len(parts) == 1 && (last == "users" || last == "groups"):
		return "list"
	}
	return "other"
}

// price is the cost in resource units [DOC-new throttling-limits]; calls that
// are not listed cost 1, delta among them [INFER].
func (c *call) price() int {
	switch c.statKind() {
	case "members":
		return c.cost(3)
	case "transitive":
		return c.cost(5)
	case "getByIds":
		if c.query.has("select") {
			return 2
		}
		return 5
	case "list":
		return c.cost(2)
	}
	return 1
}
