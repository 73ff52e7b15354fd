package main

// handOver has nothing to do: what is made in the data directory inherits its
// access list.
func handOver(string) error { return nil }
