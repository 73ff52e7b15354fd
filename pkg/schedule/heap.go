package schedule

import (
	"cmp"
	"container/heap"
)

// dueHeap holds the idle vaults, the next to run first.
type dueHeap []*entry

func (h dueHeap) Len() int { return len(h) }

func (h dueHeap) Less(i, j int) bool {
	return cmp.Or(h[i].due.Compare(h[j].due), cmp.Compare(h[i].job.Name, h[j].job.Name)) < 0
}

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push and Pop are for container/heap alone.
func (h *dueHeap) Push(x any) {
	e, ok := x.(*entry)
	if !ok {
		return
	}
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop takes the last element, where container/heap put the least one.
func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.index = -1
	return e
}

// settle puts e where it belongs: into the heap when it waits for a time, out
// of it when it is under way, paused, removed or never due.
func (h *dueHeap) settle(e *entry) {
	waits := e.flight == nil && !e.past.Paused && !e.removed && !e.due.IsZero()
	switch {
	case waits && e.index < 0:
		heap.Push(h, e)
	case waits:
		heap.Fix(h, e.index)
	case e.index >= 0:
		heap.Remove(h, e.index)
	}
}
