package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
)

// profiling writes the profiles of one phase: NAME.cpu, NAME.heap (all that was
// allocated) and NAME.peak (what was in use when memory was highest).
type profiling struct {
	name string // "" writes nothing
	cpu  *os.File
	high bytes.Buffer
	err  error
}

func startProfile(dir, phase string) (*profiling, error) {
	if dir == "" {
		return &profiling{}, nil
	}
	p := &profiling{name: filepath.Join(dir, strings.NewReplacer(" ", "-", "%", "percent").Replace(phase))}
	var err error
	if p.cpu, err = os.Create(p.name + ".cpu"); err != nil {
		return nil, fmt.Errorf("write a profile: %w", err)
	}
	if err := pprof.StartCPUProfile(p.cpu); err != nil {
		return nil, fmt.Errorf("write a profile: %w", errors.Join(err, p.cpu.Close()))
	}
	return p, nil
}

// peak takes the heap as it is, in place of what it took before.
func (p *profiling) peak() {
	if p.name == "" || p.err != nil {
		return
	}
	p.high.Reset()
	p.err = pprof.Lookup("heap").WriteTo(&p.high, 0)
}

func (p *profiling) end() error {
	if p.name == "" {
		return nil
	}
	pprof.StopCPUProfile()
	err := errors.Join(p.err, p.cpu.Close())
	if p.high.Len() > 0 {
		err = errors.Join(err, os.WriteFile(p.name+".peak", p.high.Bytes(), 0o600))
	}
	heap, failed := os.Create(p.name + ".heap")
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	runtime.GC()
	if err := errors.Join(pprof.Lookup("allocs").WriteTo(heap, 0), heap.Close()); err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	return nil
}
