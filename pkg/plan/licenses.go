package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// allotLicenses hands out the licences that there are, in the order of the
// login names; the rest wait, by name, and are tried again with every run.
func (c *computation) allotLicenses() {
	if c.in.Pools == nil {
		return
	}
	free := map[identity.License]int{}
	count := map[identity.License]int{}
	for _, p := range c.in.Pools {
		free[p.Type], count[p.Type] = p.Free(), p.Count
	}
	type place struct {
		login string
		*decision
	}
	var queue []place
	for _, d := range c.decisions {
		if d.needsLicense && d.license != identity.NoLicense && d.license != "" {
			queue = append(queue, place{identity.Fold(d.Want.Login()), d})
		}
	}
	short := slices.ContainsFunc(c.in.Pools, func(p vault.Pool) bool { return p.Free() < len(queue) })
	if short { // else everybody gets one, in whatever order
		slices.SortStableFunc(queue, func(a, b place) int {
			return cmp.Or(cmp.Compare(a.login, b.login), a.ID.Compare(b.ID))
		})
	}
	for _, p := range queue {
		c.allot(p.decision, free, count)
	}
}

func (c *computation) allot(d *decision, free, count map[identity.License]int) {
	wanted := append([]identity.License{d.license}, d.Want.Fallback...)
	for _, l := range wanted {
		left, pooled := free[l]
		if pooled && left == 0 {
			continue
		}
		if pooled {
			free[l] = left - 1
		}
		d.license = l
		d.after.License = l
		return
	}
	text := fmt.Sprintf("no %s licence is left (%d in all)", wanted[0], count[wanted[0]])
	if len(wanted) > 1 {
		text = fmt.Sprintf("no licence is left: tried %v", wanted)
	}
	if d.action == create {
		c.wait(d, NoLicense, text)
		return
	}
	// An existing account comes back without the licence that it gave back.
	d.license = ""
	d.after.Problem = text
	d.remark(NoLicense, text)
}
