package reconcile

import (
	"context"
	"errors"
	"fmt"

	"github.com/vaultsync/vaultsync/pkg/explain"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// Explain says why a person is or is not in the vault, from local state alone:
// one consistent view of the local copy of the directory and of what was last
// applied. who is an object id, login name, mail address or display name.
func (v *Vault) Explain(ctx context.Context, who string, log explain.Log) (out explain.Explanation, err error) {
	view, err := v.Directory.Mirror.View()
	if err != nil {
		return out, fmt.Errorf("read the local copy of %s: %w", v.Directory.Name, err)
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	store, _ := v.Store.(explain.Describer)
	err = v.Snapshot.Read(func(tx *snapshot.Tx) error {
		out, err = explain.Explain(ctx, explain.Question{
			View: view, Tx: tx, Rules: v.Rules, GroupIDs: v.groupIDs(), Log: log, Query: who, Now: v.Now(), Store: store,
		})
		return err
	})
	return out, err
}
