package entrasim

import (
	"net/http"
	"strconv"
	"time"
)

// bucket is the token bucket of resource units for app and tenant.
type bucket struct {
	start time.Time
	used  int
}

const bucketTime = 10 * time.Second

// capacity is the size of the bucket: S below 50 users, M up to 500, L above
// [DOC throttling-limits].
func (t *Tenant) capacity() int {
	if t.rules.ResourceUnits > 0 {
		return t.rules.ResourceUnits
	}
	people, _, _ := t.size()
	switch {
	case people < 50:
		return 3500
	case people <= 500:
		return 5000
	}
	return 8000
}

// overLimit spends the request's resource units and refuses it when there are
// none left.
func (c *call) overLimit() (reply, bool) {
	if !c.rules.Throttle || c.path == "/$batch" {
		return reply{}, false
	}
	t := c.tenant
	t.mu.Lock()
	capacity := t.capacity()
	if c.now.Sub(t.bucket.start) >= bucketTime {
		t.bucket = bucket{start: c.now}
	}
	t.bucket.used += max(c.units, 1) // usage accrues on refused requests too [DOC]
	used, start := t.bucket.used, t.bucket.start
	t.mu.Unlock()
	c.share = float64(used) / float64(capacity)
	if used <= capacity {
		return reply{}, false
	}
	r := c.throttle429()
	wait := bucketTime - c.now.Sub(start)
	r.header.Set("Retry-After", strconv.FormatFloat(wait.Seconds(), 'f', 3, 64)) // decimal, as in the documented sample
	return r, true
}

// sayShare tells how near the limit is: only from 80 % on, at most 1.8 [DOC].
func (c *call) sayShare(r reply) {
	if c.share > 0.8 && !c.rules.ShareUnsaid {
		r.header.Set("x-ms-throttle-limit-percentage", strconv.FormatFloat(min(c.share, 1.8), 'f', 2, 64))
	}
}

// throttle429 is the refusal with the headers of the throttling page [DOC];
// inside a batch it can be a 424 [DOC throttling.md, against the batch page].
func (c *call) throttle429() reply {
	c.server.stats.throttled()
	status := http.StatusTooManyRequests
	if c.inner && c.rules.BatchThrottle424 {
		status = http.StatusFailedDependency
	}
	r := newReply(status, c.throttledBody())
	r.header.Set("x-ms-throttle-scope", "Tenant_Application/ReadWrite/"+c.app.ClientID+"/"+c.tenant.id.String())
	r.header.Set("x-ms-throttle-information", "ResourceUnitLimitExceeded")
	return r
}

// cost is the price of a request in resource units: the base, one less with
// $select, one less with $top below 20, one more with $expand, at least 1
// [DOC-new].
func (c *call) cost(base int) int {
	if c.query.has("select") {
		base--
	}
	if top, err := strconv.Atoi(c.query["top"]); err == nil && top < 20 {
		base--
	}
	if c.query.has("expand") {
		base++
	}
	return max(base, 1)
}
