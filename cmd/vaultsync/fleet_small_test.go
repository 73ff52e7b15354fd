package main

import (
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
)

func TestASmallVaultInALargeTenantCostsItsOwnSize(t *testing.T) {
	const size = 300_000
	tenant := entrasim.Generate(entrasim.Spec{People: size, Groups: 600, MembershipsPerPerson: 1, Seed: 7})
	ids := groupIDs(t, tenant, 600)
	members, err := tenant.Members(ids[0])
	if err != nil {
		t.Fatal(err)
	}
	s := startSite(t, "contoso", tenant, "profiles: auto")
	f := &fleet{dir: t.TempDir(), sites: []*site{s}}
	f.write(t)
	f.vault(t, "small", "contoso", "{every: 1h}", ids[0])
	p := program{config: f.file()}
	s.requests()
	for _, step := range []struct {
		what     string
		requests int
	}{
		{"first pull", 2},
		{"quiet pull", 1},
		{"quiet pull", 1},
	} {
		r := p.run(t, "sync", "small", "--json")
		if r.code != exitDone {
			t.Fatalf("%s: exit code %d\n%s%s", step.what, r.code, r.out, r.err)
		}
		last := s.graph.Stats().Last
		if n := s.requests(); n != step.requests {
			t.Errorf("%s of %d people: %d requests, want %d: %q", step.what, len(members), n, step.requests, last)
		}
	}
}
