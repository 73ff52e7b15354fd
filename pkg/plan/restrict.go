package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ErrNotDue means that a saved plan no longer fits the world.
var ErrNotDue = errors.New("the plan no longer fits; nothing was changed")

// Restrict leaves exactly the changes of a saved plan, or refuses and names the
// change that is no longer due or would find something else. What the saved
// plan showed as held is not made.
func (p *Plan) Restrict(saved []Change) error {
	due := make(map[string]*Change, len(p.Changes))
	for i := range p.Changes {
		due[p.Changes[i].Key()] = &p.Changes[i]
	}
	wanted := map[string]bool{}
	for _, s := range saved {
		if s.Held != "" {
			continue
		}
		now, ok := due[s.Key()]
		name := fmt.Sprintf("%s %s%s", s.Kind, s.Login, s.Group)
		switch {
		case !ok:
			return fmt.Errorf("%w: %s (%s) is no longer due", ErrNotDue, name, s.Why)
		case !maps.Equal(now.Before, s.Before):
			return fmt.Errorf("%w: %s would find %v, the plan says %v", ErrNotDue, name, now.Before.JSON(), s.Before.JSON())
		case now.Held != "":
			return fmt.Errorf("%w: %s is held by the guard %s by now", ErrNotDue, name, now.Held)
		}
		wanted[s.Key()] = true
	}
	p.Changes = slices.DeleteFunc(p.Changes, func(c Change) bool { return c.Held == "" && !wanted[c.Key()] })
	// What the plan concludes beside its changes was not part of what was saved.
	p.Records, p.Forget, p.ForgetGroups, p.Settled = nil, nil, nil, nil
	return nil
}
