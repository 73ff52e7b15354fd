package main

import (
	"context"
	"iter"

	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/embedded"
)

// watchedStore counts what is asked of a vault's store: calls of any kind but
// the question who it is, and single changes. A vault runs once at a time.
type watchedStore struct {
	*embedded.Store
	calls, writes int
}

// Users counts and passes on.
func (s *watchedStore) Users(ctx context.Context) iter.Seq2[vault.User, error] {
	s.calls++
	return s.Store.Users(ctx)
}

// Groups counts and passes on.
func (s *watchedStore) Groups(ctx context.Context) iter.Seq2[vault.Group, error] {
	s.calls++
	return s.Store.Groups(ctx)
}

// Find counts and passes on.
func (s *watchedStore) Find(ctx context.Context, queries []vault.Query) ([][]vault.User, error) {
	s.calls++
	return s.Store.Find(ctx, queries)
}

// Apply counts and passes on. A change of members is one write, however many
// they are.
func (s *watchedStore) Apply(ctx context.Context, changes []vault.Change) []vault.Result {
	s.calls++
	s.writes += len(changes)
	return s.Store.Apply(ctx, changes)
}
