package plan

import "slices"

// Join adds the plan of further people of the same vault to p: what is held,
// what is to be told and what is to be remembered of the run. The changes that
// are to be made stay with other, as does what is told of the groups, which p
// has told already.
func (p *Plan) Join(other *Plan) {
	p.Changes = append(p.Changes, other.Held()...)
	for _, n := range other.Notes {
		if !n.Person.IsZero() {
			p.Notes = append(p.Notes, n)
		}
	}
	p.Trips = append(p.Trips, other.Trips...)
	p.Pinned = append(p.Pinned, other.Pinned...)
	slices.Sort(p.Pinned)
	p.Unchanged += other.Unchanged
	p.Drift += other.Drift
}

// SortNotes puts notes and guards in their order after plans were joined.
func (p *Plan) SortNotes() { (&computation{plan: p}).sortNotes() }
