package entrasim

import (
	"maps"
	"slices"
	"sync"
)

// Stats counts what the server was asked. Requests inside a batch count as
// inner and under their own kind.
type Stats struct {
	// Requests by kind: token, tokenRefused, discovery, delta, batch, inner,
	// getByIds, get, list, members, transitive, count, other. Total counts what
	// came over the network to Graph.
	Requests map[string]int `json:"requests"`
	Total    int            `json:"total"`
	Statuses map[int]int    `json:"statuses"`
	// Throttled counts replies of 429 (424 where the rules say so).
	Throttled int `json:"throttled"`
	// Unauthorized counts replies of 401 to Graph requests.
	Unauthorized int `json:"unauthorized"`
	// Last are the latest Graph requests, oldest first, as "GET /v1.0/…".
	Last []string `json:"last"`
	// Faults is how often each ordered fault has struck.
	Faults map[FaultKind]int `json:"faults"`
}

const keptQueries = 100

type statistics struct {
	mu sync.Mutex
	s  Stats
}

func (s *statistics) change(do func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.s.Requests == nil {
		s.s = Stats{Requests: map[string]int{}, Statuses: map[int]int{}}
	}
	do(&s.s)
}

func (s *statistics) count(kind string) {
	s.change(func(st *Stats) { st.Requests[kind]++ })
}

func (s *statistics) asked(line string, inner bool) {
	s.change(func(st *Stats) {
		if inner {
			st.Requests["inner"]++
		} else {
			st.Total++
		}
		if len(st.Last) >= keptQueries {
			st.Last = slices.Delete(st.Last, 0, 1)
		}
		st.Last = append(st.Last, line)
	})
}

func (s *statistics) answered(status int) {
	s.change(func(st *Stats) {
		st.Statuses[status]++
		if status == 401 {
			st.Unauthorized++
		}
	})
}

func (s *statistics) throttled() {
	s.change(func(st *Stats) { st.Throttled++ })
}

func (s *statistics) read() Stats {
	var found Stats
	s.change(func(st *Stats) {
		found = *st
		found.Requests = maps.Clone(st.Requests)
		found.Statuses = maps.Clone(st.Statuses)
		found.Last = slices.Clone(st.Last)
	})
	return found
}

func (s *statistics) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s = Stats{}
}
