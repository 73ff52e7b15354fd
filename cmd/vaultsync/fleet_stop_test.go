package main

import (
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

func TestAStopInTheMiddleOfAFirstImport(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such signals")
	}
	const people = 8_000
	tenant := entrasim.Generate(entrasim.Spec{People: people, Groups: 1, MembershipsPerPerson: 1, Seed: 1})
	s := startSite(t, "contoso", tenant, "profiles: stream")
	f := &fleet{dir: t.TempDir(), sites: []*site{s}, server: "log: {level: debug}"}
	f.write(t)
	f.vault(t, "large", "contoso", "{startTimeOfFirstImport: +0s, every: 12h}", groupIDs(t, tenant, 1)...)
	p := program{config: f.file()}
	begun := func() bool {
		r := p.run(t, "log", "large", "--json")
		return strings.Contains(r.out, `"create"`)
	}

	daemon := p.command(t, "run")
	var said output
	daemon.Stderr = &said
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the first import has begun to write", begun)
	if err := daemon.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Wait(); err != nil {
		t.Fatalf("the daemon ended: %v\n%s", err, said.String())
	}
	users := func() int {
		r := p.run(t, "vault", "users", "large", "--json")
		if r.code != exitDone {
			t.Fatalf("exit code %d\n%s", r.code, r.err)
		}
		return strings.Count(r.out, "\n")
	}
	before := users()
	r := p.run(t, "sync", "large", "--json")
	var report reconcile.Report
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.code != exitDone {
		t.Fatalf("the next run: exit code %d, %v\n%s%s", r.code, err, r.out, r.err)
	}
	if report.Counts.Created != people-before {
		t.Errorf("%d people were there, the next run made %d", before, report.Counts.Created)
	}
	if after := users(); after != people {
		t.Errorf("%d of %d people in the end", after, people)
	}
}
