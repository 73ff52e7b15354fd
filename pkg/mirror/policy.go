package mirror

import "fmt"

// profileMode is where people's attributes come from.
type profileMode byte

const (
	modeUndecided profileMode = iota
	modeRead                  // each refresh asks for the people in scope
	modeStream                // the stream of all users is followed
)

// profilePolicy decides the mode.
type profilePolicy struct {
	fixed profileMode // modeUndecided: automatic
	limit uint64
}

func newProfilePolicy(name string, limit int) (profilePolicy, error) {
	p := profilePolicy{limit: defaultProfileLimit}
	if limit > 0 {
		p.limit = uint64(limit)
	}
	switch name {
	case "", "auto":
	case "stream":
		p.fixed = modeStream
	case "read":
		p.fixed = modeRead
	default:
		return p, fmt.Errorf("profiles: %q is none of auto, stream, read", name)
	}
	return p, nil
}

// decide is the mode for a number of people in scope:
//
//	configured  now        people            full read  then
//	fixed       any        any               any        fixed
//	auto        undecided  <= limit          any        read
//	auto        undecided  >  limit          any        stream
//	auto        read       >  limit          any        stream
//	auto        stream     <  limit / 2      yes        read
//	auto        otherwise                               as it is
//
// The gap keeps a directory at the limit from going to and fro: the stream's
// first read is the dear one.
func (p profilePolicy) decide(now profileMode, people uint64, full bool) profileMode {
	switch {
	case p.fixed != modeUndecided:
		return p.fixed
	case now != modeStream && people > p.limit:
		return modeStream
	case now == modeUndecided:
		return modeRead
	case now == modeStream && full && people < p.limit/2:
		return modeRead
	default:
		return now
	}
}
