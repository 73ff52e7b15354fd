package plan

import (
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// Rejection is what to remember when an administrator drops held changes.
type Rejection struct {
	// Records carry the fingerprint under which the changes stay away.
	Records []snapshot.Account
	// Forget are people whose account vanished from the vault and is to be
	// made again.
	Forget []identity.ObjectID
	// Changes counts the changes that were still held.
	Changes int
}

// Reject says what to remember so that the held changes with these keys stay
// away until the directory says something else of the people concerned.
func Reject(in Input, keys map[string]bool) Rejection {
	c := compute(in)
	var r Rejection
	seen := map[identity.ObjectID]bool{}
	for _, change := range c.plan.Changes {
		if change.Held == "" || !keys[change.Key()] {
			continue
		}
		r.Changes++
		if change.Person.IsZero() || seen[change.Person] {
			continue
		}
		seen[change.Person] = true
		d := c.byNumber[change.Number]
		if change.After["deleted"] != "" {
			r.Forget = append(r.Forget, change.Person)
			continue
		}
		record := snapshot.Account{Person: d.ID, Number: d.Number, State: snapshot.Waiting, Fields: map[string]snapshot.Field{}, Since: in.Now}
		if d.Record != nil {
			record = d.Record.Clone()
		}
		record.Rejected = c.fingerprint(d)
		r.Records = append(r.Records, record)
	}
	return r
}

// Released counts the changes that are made, and the vanished accounts that are
// taken for deleted, because they were approved.
func (p *Plan) Released(approved map[string]bool) int {
	n := 0
	for _, change := range p.Changes {
		if change.Held == "" && approved[change.Key()] {
			n++
		}
	}
	for _, key := range p.concluded {
		if approved[key] {
			n++
		}
	}
	return n
}
