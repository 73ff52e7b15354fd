package entrasim

import (
	"net/http"
	"time"
)

// reply is an answer before it meets the wire.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func newReply(status int, body []byte) reply {
	header := http.Header{}
	header.Set("Content-Type", "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8")
	header.Set("OData-Version", "4.0")
	header.Set("Cache-Control", "no-cache")
	return reply{status: status, header: header, body: body}
}

// Error codes of the service.
const (
	codeBadRequest  = "BadRequest"
	codeRequestBad  = "Request_BadRequest"
	codeNotFound    = "Request_ResourceNotFound"
	codeDenied      = "Authorization_RequestDenied"
	codeUnsupported = "Request_UnsupportedQuery"
	codeTokenLost   = "syncStateNotFound"
	codeThrottled   = "TooManyRequests"
	codeAuth        = "InvalidAuthenticationToken"
)

// failure is an error body in the envelope of the service; dates carry no zone
// [CODE graph.md 7].
func (c *call) failure(status int, code, message string) reply {
	b := []byte(`{"error":{`)
	b = appendField(b, "code", code)
	b = appendField(b, "message", message)
	b = append(appendKey(b, "innerError"), '{')
	b = appendField(b, "date", c.now.UTC().Format("2006-01-02T15:04:05"))
	b = appendField(b, "request-id", c.requestID)
	b = appendField(b, "client-request-id", c.clientRequestID)
	b = append(b, "}}}"...)
	return newReply(status, b)
}

func (c *call) notFound(what string) reply {
	return c.failure(http.StatusNotFound, codeNotFound,
		"Resource '"+what+"' does not exist or one of its queried reference-property objects are not present.")
}

func (c *call) denied() reply {
	return c.failure(http.StatusForbidden, codeDenied, "Insufficient privileges to complete the operation.")
}

// throttled is the documented 429 body: code and message in another order, and
// a status that is a string [DOC throttling.md].
func (c *call) throttledBody() []byte {
	b := []byte(`{"error":{"code":"` + codeThrottled + `","innerError":{"code":"429",`)
	b = append(b, `"date":"`+c.now.UTC().Format("2006-01-02T15:04:05")+`","message":"Please retry after",`...)
	b = append(b, `"request-id":"`+c.requestID+`","status":"429"},"message":"Please retry again later."}}`...)
	return b
}

// tokenLost answers an expired or revoked delta token: 400 syncStateNotFound
// [devblog 2020], or 410 with an empty token in Location [DOC].
func (c *call) tokenLost(gone bool, path string) reply {
	rules := c.rules
	if !gone {
		return c.failure(http.StatusBadRequest, codeTokenLost,
			"The sync state generation is not found. The delta token is expired and data must be synchronized again.")
	}
	return c.gone(path, rules.GoneLocation, rules.GoneBody)
}

func (c *call) gone(path string, location, body bool) reply {
	r := c.failure(http.StatusGone, "SyncStateNotFound",
		"The sync state generation is not found; generation=149;[highest=157].")
	if !body {
		r.body = nil
		r.header.Del("Content-Type")
	}
	if location {
		r.header.Set("Location", c.base+"/v1.0"+path+"?$deltatoken=")
	}
	return r
}

// retryAfterDate is a Retry-After in the date form.
func retryAfterDate(at time.Time) string { return at.UTC().Format(http.TimeFormat) }
