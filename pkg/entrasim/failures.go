package entrasim

import (
	"encoding/base64"
	"net/http"
)

func orStatus(f *Fault, status int) int {
	if f.Status != 0 {
		return f.Status
	}
	return status
}

// setRetryAfter writes the header as the fault says: seconds, decimal seconds
// (the documented sample is 2.128), a date, or nothing.
func (c *call) setRetryAfter(r reply, f *Fault) {
	switch f.RetryAfter {
	case "":
	case "date":
		r.header.Set("Retry-After", retryAfterDate(c.now.Add(f.Delay)))
	default:
		r.header.Set("Retry-After", f.RetryAfter)
	}
}

// orderedFailure is the reply to a request that a fault or the throttle keeps
// from its handler.
func (c *call) orderedFailure() (reply, bool) {
	if f := c.fault(FaultThrottle); f != nil {
		r := c.throttle429()
		c.setRetryAfter(r, f)
		return r, true
	}
	if r, ok := c.overLimit(); ok {
		return r, true
	}
	if f := c.fault(FaultFailedDependency); f != nil {
		r := c.failure(http.StatusFailedDependency, "FailedDependency", "")
		c.setRetryAfter(r, f)
		return r, true
	}
	if f := c.fault(FaultHTML); f != nil {
		r := newReply(orStatus(f, http.StatusBadGateway), []byte("<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"))
		r.header.Set("Content-Type", "text/html; charset=utf-8")
		return r, true
	}
	if f := c.fault(FaultStatus); f != nil {
		code, status := f.Code, orStatus(f, http.StatusInternalServerError)
		if code == "" {
			code = "UnknownError"
		}
		r := c.failure(status, code, f.Message)
		if f.Body != "" {
			r.body = []byte(f.Body)
		}
		if f.NoBody {
			r.body = nil
			r.header.Del("Content-Type")
		}
		c.setRetryAfter(r, f)
		return r, true
	}
	if f := c.fault(FaultRedirect); f != nil {
		r := newReply(http.StatusTemporaryRedirect, nil)
		r.header.Set("Location", c.server.foreignURL(f.Host)+c.rawURL)
		return r, true
	}
	if c.query.has("skiptoken") {
		if f := c.fault(FaultUnknownError); f != nil {
			return c.failure(http.StatusNotFound, "UnknownError", ""), true
		}
	}
	return reply{}, false
}

// tokenFault is an ordered refusal of a delta token.
func (c *call) tokenFault(path string, isDelta bool) (reply, bool) {
	if f := c.fault(FaultForeignLocation); f != nil && isDelta {
		r := c.gone(path, false, true)
		r.header.Set("Location", c.server.foreignURL(f.Host)+"/v1.0"+path+"?$deltatoken=")
		return r, true
	}
	f := c.fault(FaultTokenExpired)
	if f == nil {
		return reply{}, false
	}
	if f.Status == http.StatusGone {
		return c.gone(path, !f.NoLocation, !f.NoBody), true
	}
	code := f.Code
	if code == "" {
		code = codeTokenLost
	}
	return c.failure(orStatus(f, http.StatusBadRequest), code,
		"The sync state generation is not found. The delta token is expired and data must be synchronized again."), true
}

// claimsChallenge is the 401 of continuous access evaluation [RAN graph.md 6.7].
func (c *call) claimsChallenge(authority string) reply {
	r := c.failure(http.StatusUnauthorized, codeAuth, "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp")
	claims := base64.StdEncoding.EncodeToString([]byte(`{"access_token":{"nbf":{"essential":true,"value":"1"}}}`))
	r.header.Set("WWW-Authenticate", `Bearer realm="", authorization_uri="`+authority+`/common/oauth2/authorize", error="insufficient_claims", claims="`+claims+`"`)
	return r
}

// foreignLink replaces a link by one that leads to the foreign listener.
func (c *call) foreignLink(kind FaultKind, link string) string {
	f := c.fault(kind)
	if f == nil {
		return link
	}
	return c.server.foreignURL(f.Host) + link[len(c.base):]
}
