// Package provlog is the provisioning log: every change to a vault with who,
// why, before and after, and outcome, in rotated files of JSON lines.
package provlog

import (
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Entry is one line of the log (contract.md, log --json).
type Entry struct {
	Time    time.Time         `json:"time"`
	Vault   string            `json:"vault"`
	Run     string            `json:"run"`
	Person  identity.ObjectID `json:"person,omitzero"`
	Login   string            `json:"login,omitempty"`
	Group   string            `json:"group,omitempty"`
	Kind    string            `json:"kind"`
	Before  map[string]any    `json:"before"`
	After   map[string]any    `json:"after"`
	Why     string            `json:"why"`
	Outcome string            `json:"outcome"` // done | failed | held
	Error   string            `json:"error"`
}
