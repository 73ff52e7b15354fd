package entrasim

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

const maxBatch = 20 // [DOC]

// batchRequest is one part of a batch.
type batchRequest struct {
	ID        string            `json:"id"`
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
	DependsOn []string          `json:"dependsOn"`
}

// batch answers POST /$batch: a batch that can be read is 200, each part has
// its own status, in any order [DOC].
func (c *call) batch() reply {
	var body struct {
		Requests []batchRequest `json:"requests"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil {
		return c.failure(http.StatusBadRequest, codeBadRequest, "Invalid batch payload format.")
	}
	if len(body.Requests) == 0 || len(body.Requests) > maxBatch {
		return c.failure(http.StatusBadRequest, codeBadRequest, "Number of batch request steps must be between 1 and 20.")
	}
	seen := map[string]bool{}
	for _, part := range body.Requests {
		switch {
		case part.ID == "" || seen[part.ID]:
			return c.failure(http.StatusBadRequest, codeBadRequest, "Batch request ids must be present and unique.")
		case !strings.HasPrefix(part.URL, "/") && strings.Contains(part.URL, "://"):
			return c.failure(http.StatusBadRequest, codeBadRequest, "Invalid batch request URL: it must be relative to the service root.")
		}
		seen[part.ID] = true
	}
	statuses := map[string]int{}
	parts := make([][]byte, 0, len(body.Requests))
	for _, part := range body.Requests {
		r := c.batchPart(part, statuses)
		statuses[part.ID] = r.status
		parts = append(parts, appendPart(part.ID, r))
	}
	slices.Reverse(parts) // the order of replies is not that of requests [DOC]
	b := []byte(`{"responses":[`)
	for i, part := range parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, part...)
	}
	return newReply(http.StatusOK, append(b, "]}"...))
}

// batchPart answers one part as the service would answer it alone. A part
// depends on earlier ones only.
func (c *call) batchPart(part batchRequest, statuses map[string]int) reply {
	header := http.Header{}
	for name, value := range part.Headers {
		header.Set(name, value)
	}
	target := part.URL
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	if !strings.HasPrefix(target, "/v1.0/") {
		target = "/v1.0" + target
	}
	inner := c.server.newCall(strings.ToUpper(part.Method), target, header)
	inner.tenant, inner.app, inner.rules, inner.now = c.tenant, c.app, c.rules, c.now
	inner.request, inner.base, inner.body, inner.inner = c.request, c.base, part.Body, true
	inner.units = inner.price() * max(inner.rules.UnitFactor, 1)
	c.server.stats.asked(inner.method+" "+target, true)
	c.server.stats.count(inner.statKind())
	for _, id := range part.DependsOn {
		if status, done := statuses[id]; !done || status >= 400 { // [DOC]
			return inner.failure(http.StatusFailedDependency, "FailedDependency", "")
		}
	}
	if inner.path == "/$batch" {
		return inner.failure(http.StatusBadRequest, codeBadRequest, "A batch cannot contain a batch.")
	}
	if part.Body != nil && inner.method == http.MethodPost && header.Get("Content-Type") == "" {
		return inner.failure(http.StatusBadRequest, codeBadRequest, "Write request id : "+part.ID+" does not contain Content-Type header or body.")
	}
	return inner.answer()
}

// appendPart writes a reply inside a batch: JSON as it is, anything else in
// base64.
func appendPart(id string, r reply) []byte {
	b := []byte{'{'}
	b = appendField(b, "id", id)
	b = append(appendKey(b, "status"), itoa(r.status)...)
	b = append(appendKey(b, "headers"), '{')
	for _, name := range sortedNames(r.header) {
		b = appendField(b, name, r.header.Get(name))
	}
	b = append(b, '}')
	if len(r.body) == 0 {
		return append(b, '}')
	}
	b = appendKey(b, "body")
	if strings.HasPrefix(r.header.Get("Content-Type"), "application/json") && json.Valid(r.body) {
		return append(append(b, r.body...), '}')
	}
	return append(appendString(b, base64.StdEncoding.EncodeToString(r.body)), '}')
}

func sortedNames(h http.Header) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
