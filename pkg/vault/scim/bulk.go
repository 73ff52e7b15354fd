package scim

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// bulkStart is how many operations go into the first bulk request; the number
// grows while the service answers well within the timeout.
const bulkStart = 25

// bulkOperation is one operation of a bulk request (RFC 7644 section 3.7).
type bulkOperation struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	BulkID string `json:"bulkId"`
	Data   any    `json:"data"`

	change int
}

// inBulk makes changes by bulk requests, in order, and returns those that have
// to be made one by one: what the service refused in bulk is asked for again
// where the refusal can have other reasons than the change.
func (j *job) inBulk(ctx context.Context, pending []int) []int {
	var queue []bulkOperation
	for _, i := range pending {
		list, ok := j.bulkOperations(j.changes[i])
		if !ok {
			return pending
		}
		for k := range list {
			list[k].BulkID, list[k].change = strconv.Itoa(len(queue)+k), i
		}
		queue = append(queue, list...)
	}
	b := &bulkRun{job: j, answers: map[int][]answer{}, due: map[int]int{}}
	for _, o := range queue {
		b.due[o.change]++
	}
	size := min(bulkStart, j.service.bulkOperations)
	for len(queue) > 0 && ctx.Err() == nil {
		n := b.fits(queue, size)
		began := time.Now()
		again, err := b.send(ctx, queue[:n])
		switch {
		case again:
			if n == 1 || !j.service.bulk.Load() {
				return b.finish(ctx, pending, nil)
			}
			size = n / 2
			continue
		case err != nil:
			return b.finish(ctx, pending, err)
		}
		queue = queue[n:]
		if time.Since(began) < j.options.Timeout/8 {
			size = min(2*size, j.service.bulkOperations)
		}
	}
	return b.finish(ctx, pending, ctx.Err())
}

// bulkOperations are the operations that make a change; false where a change
// needs to read first.
func (j *job) bulkOperations(c vault.Change) ([]bulkOperation, bool) {
	v := j.service
	patch := func(endpoint, id string, operations []map[string]any) bulkOperation {
		path, _ := resourcePath(endpoint, id)
		return bulkOperation{Method: http.MethodPatch, Path: path, Data: patchBody(operations)}
	}
	var list []bulkOperation
	switch c.Op {
	case vault.CreateUser:
		list = append(list, bulkOperation{Method: http.MethodPost, Path: v.users, Data: j.mapping.newUser(v, c.User)})
	case vault.CreateGroup:
		list = append(list, bulkOperation{Method: http.MethodPost, Path: v.groups, Data: newGroup(c.Group)})
	case vault.UpdateUser:
		if fields := j.mapping.fields(v, c.Patch); len(fields) > 0 {
			list = append(list, patch(v.users, c.UserID, operations(fields)))
		}
	case vault.UpdateGroup:
		if fields := groupFields(c.Patch); len(fields) > 0 {
			list = append(list, patch(v.groups, c.GroupID, operations(fields)))
		}
	case vault.AddMembers:
		for _, chunk := range chunks(distinctTexts(c.Members), j.options.MemberChunk) {
			list = append(list, patch(v.groups, c.GroupID, addOperations(chunk)))
		}
	case vault.RemoveMembers:
		for _, chunk := range chunks(distinctTexts(c.Members), j.options.MemberChunk) {
			list = append(list, patch(v.groups, c.GroupID, removeOperations(chunk)))
		}
	}
	return list, v.patch.Load() || c.Op == vault.CreateUser || c.Op == vault.CreateGroup
}

// bulkRun is the changes of one call that go out in bulk.
type bulkRun struct {
	*job
	// answers are what came back, by change; due how many should.
	answers map[int][]answer
	due     map[int]int
}

// fits is how many operations go into one request.
func (b *bulkRun) fits(queue []bulkOperation, size int) int {
	bytes := 200
	for n, o := range queue {
		text, err := json.Marshal(o)
		if err != nil {
			return max(n, 1)
		}
		if bytes += len(text) + 1; n > 0 && (n >= size || bytes > b.service.bulkPayload) {
			return n
		}
	}
	return len(queue)
}

// What takes the place of a status: lost operations may have been carried out;
// omitted ones are not among the answers of a bulk request that has ended.
const (
	lost    = -1
	omitted = -2
)

// send makes one bulk request. again says that nothing was done and a smaller
// one, or none, should be tried.
func (b *bulkRun) send(ctx context.Context, operations []bulkOperation) (again bool, err error) {
	r := request{method: http.MethodPost, path: "/Bulk", body: map[string]any{"schemas": []string{bulkSchema}, "Operations": operations}, repeatable: true}
	for _, o := range operations {
		r.repeatable = r.repeatable && o.Method != http.MethodPost
	}
	a, err := b.Store.send(ctx, r)
	switch {
	case errors.Is(err, vault.ErrUnknownOutcome):
		for _, o := range operations {
			b.answers[o.change] = append(b.answers[o.change], answer{status: lost})
		}
		return false, nil
	case err != nil:
		return false, err
	case a.status == http.StatusNotFound, a.status == http.StatusMethodNotAllowed, a.status == http.StatusNotImplemented:
		b.service.bulk.Store(false)
		return true, nil
	case a.status == http.StatusUnauthorized:
		return false, answerError(r.place(), a, true)
	case !a.ok():
		return true, nil
	}
	// A service that stops at the first error, asked or not, leaves out what
	// comes after it. An answer without any operation says nothing of them.
	missing := omitted
	d, err := decode(a.body)
	if err != nil || !d.has("Operations") {
		d, missing = nil, lost
	}
	said := map[string]answer{}
	list := d.list("Operations")
	for k, v := range list {
		o := asDocument(v)
		id := o.text("bulkId")
		if id == "" && len(list) == len(operations) {
			id = operations[k].BulkID
		}
		one := operationAnswer(o)
		one.spent = b.options.outOfLicenses(one)
		said[id] = one
	}
	for _, o := range operations {
		one, ok := said[o.BulkID]
		if !ok {
			one = answer{status: missing}
		}
		b.answers[o.change] = append(b.answers[o.change], one)
	}
	return false, nil
}

// operationAnswer is one operation's answer in the form of a whole one.
func operationAnswer(o document) answer {
	a := answer{header: http.Header{}, status: lost}
	text := o.text("status")
	if part := o.part("status"); part != nil {
		text = part.text("code")
	}
	if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
		a.status = n
	}
	a.header.Set("Location", o.text("location"))
	if r := o.value("response"); r != nil {
		if body, err := json.Marshal(r); err == nil {
			a.body = body
		}
	}
	return a
}

// finish gives each change its result and returns those that are to be made one
// by one. cause is why the rest was not sent, nil if it may be tried otherwise.
func (b *bulkRun) finish(ctx context.Context, pending []int, cause error) []int {
	var rest []int
	for _, i := range pending {
		answers := b.answers[i]
		switch {
		case len(answers) < b.due[i] && cause != nil:
			b.results[i].Err = cause
		case len(answers) < b.due[i]:
			rest = append(rest, i)
		case !b.settle(ctx, i, answers):
			rest = append(rest, i)
		}
	}
	return rest
}

// settle gives a change the result that its operations' answers say; false if
// it is to be made by itself.
func (b *bulkRun) settle(ctx context.Context, i int, answers []answer) bool {
	c := b.changes[i]
	switch c.Op {
	case vault.CreateUser, vault.CreateGroup:
		switch answers[0].status {
		case http.StatusTooManyRequests:
			return false
		case omitted:
			return b.settleOmitted(ctx, i)
		}
		b.results[i] = b.settleCreated(ctx, c, answers[0])
		return true
	case vault.UpdateUser, vault.UpdateGroup, vault.AddMembers, vault.RemoveMembers:
	}
	for _, a := range answers {
		if !a.ok() {
			return false // once more by itself, which tells why
		}
	}
	switch {
	case c.Op == vault.UpdateUser && len(answers) > 0:
		path, _ := resourcePath(b.service.users, c.UserID)
		b.results[i].Err = b.kept(request{method: http.MethodPatch, path: path}, b.mapping.fields(b.service, c.Patch), c.UserID, answers[0])
	case c.Op == vault.AddMembers && len(answers) > 0:
		b.learnShown(ctx, b.service, c.GroupID, answers[len(answers)-1])
	}
	return true
}

// settleOmitted looks for what an operation without an answer may have made;
// false if it made nothing and is to be made by itself.
func (b *bulkRun) settleOmitted(ctx context.Context, i int) bool {
	c := b.changes[i]
	var id string
	var err error
	if c.Op == vault.CreateGroup {
		id, err = b.lookForGroup(ctx, b.service, c.Group)
	} else {
		id, err = b.lookForUser(ctx, c.User)
	}
	if err == nil && id == "" && (c.User.ExternalID != "" || c.Group.ExternalID != "") {
		return false
	}
	b.results[i].ID = id
	if id == "" {
		b.results[i].Err = &Error{Place: "POST /Bulk", Text: "the answer is missing", kind: vault.ErrUnknownOutcome, cause: err}
	}
	return true
}

func (b *bulkRun) settleCreated(ctx context.Context, c vault.Change, a answer) vault.Result {
	r := request{method: http.MethodPost, path: b.service.users}
	look := func() (string, error) { return b.lookForUser(ctx, c.User) }
	if c.Op == vault.CreateGroup {
		r.path = b.service.groups
		look = func() (string, error) { return b.lookForGroup(ctx, b.service, c.Group) }
	}
	switch {
	case a.ok() && a.body == nil && idOf(r.path, a.header.Get("Location")) != "":
		return vault.Result{ID: idOf(r.path, a.header.Get("Location"))}
	case a.status == lost:
		return b.settleCreate(ctx, r, a, &Error{Place: r.place(), Text: "the answer is missing", kind: vault.ErrUnknownOutcome}, look, func(document) {})
	case a.status >= 500:
		return b.settleCreate(ctx, r, a, answerError(r.place(), a, true), look, func(document) {})
	}
	return b.settleCreate(ctx, r, a, nil, look, func(document) {})
}
