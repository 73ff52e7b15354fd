package reconcile

import (
	"context"
	"iter"
	"sync/atomic"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// counted counts what a run asks of a store. A store that makes requests of
// its own counts them itself.
type counted struct {
	vault.Store
	calls atomic.Int64
	began int64
}

// requester is a store behind a network that counts its requests.
type requester interface{ Requests() int64 }

func (c *counted) requests() int {
	if r, ok := c.Store.(requester); ok {
		return int(r.Requests() - c.began)
	}
	return int(c.calls.Load())
}

// Users counts and passes on.
func (c *counted) Users(ctx context.Context) iter.Seq2[vault.User, error] {
	c.calls.Add(1)
	return c.Store.Users(ctx)
}

// Groups counts and passes on.
func (c *counted) Groups(ctx context.Context) iter.Seq2[vault.Group, error] {
	c.calls.Add(1)
	return c.Store.Groups(ctx)
}

// Find counts and passes on.
func (c *counted) Find(ctx context.Context, queries []vault.Query) ([][]vault.User, error) {
	c.calls.Add(1)
	return c.Store.Find(ctx, queries)
}

// Apply counts and passes on.
func (c *counted) Apply(ctx context.Context, changes []vault.Change) []vault.Result {
	c.calls.Add(1)
	return c.Store.Apply(ctx, changes)
}
