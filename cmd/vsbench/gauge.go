package main

import (
	"sync"
	"time"
)

// reading is what one piece of work took.
type reading struct {
	Wall time.Duration `json:"wall"`
	CPU  time.Duration `json:"cpu"`
	// Anonymous is the peak of anonymous memory in bytes, sampled; Resident
	// that of the whole process, mapped file pages included.
	Anonymous int64 `json:"anonymous"`
	Resident  int64 `json:"resident"`
}

// sampleEvery is how often memory is looked at: a peak that is shorter than
// this cannot have been large.
const sampleEvery = 2 * time.Millisecond

// peakStep is by how much anonymous memory must have grown for another heap
// profile of the peak.
const peakStep = 16 << 20

// gauge measures one piece of work in this process. atPeak is called at each
// new height of anonymous memory, unless it is nil.
func gauge(work func() error, atPeak func()) (reading, error) {
	var r reading
	seen := int64(0)
	stop := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() {
		ticker := time.NewTicker(sampleEvery)
		defer ticker.Stop()
		for {
			anonymous, resident := memoryNow()
			r.Anonymous, r.Resident = max(r.Anonymous, anonymous), max(r.Resident, resident)
			if atPeak != nil && anonymous > seen+peakStep {
				seen = anonymous
				atPeak()
			}
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
		}
	})
	before, began := cpuTime(), time.Now()
	err := work()
	r.Wall, r.CPU = time.Since(began), cpuTime()-before
	close(stop)
	sampling.Wait()
	return r, err
}
