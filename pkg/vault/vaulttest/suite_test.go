package vaulttest

import (
	"testing"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	Run(t, func(*testing.T) vault.Store { return NewMemory() }, Options{
		NewLimited: func(_ *testing.T, named int) vault.Store {
			m := NewMemory()
			m.Counts = map[identity.License]int{identity.LicenseNamed: named}
			return m
		},
		AddAccount: func(t *testing.T, s vault.Store, u vault.User) {
			if err := s.(*Memory).AddAccount(u); err != nil {
				t.Fatal(err)
			}
		},
		DeleteUser: func(t *testing.T, s vault.Store, id string) {
			if err := s.(*Memory).DeleteUser(id); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestMemory_hidden_members(t *testing.T) {
	t.Parallel()
	Run(t, func(*testing.T) vault.Store {
		m := NewMemory()
		m.HideMembers = true
		return m
	}, Options{HiddenMembers: "the field is set", Many: 50})
}
