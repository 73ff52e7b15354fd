package main

import (
	"context"
	"fmt"
	"time"

	"github.com/vaultsync/vaultsync/pkg/apply"
	"github.com/vaultsync/vaultsync/pkg/observe"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// serveAPI serves health, metrics and status until ctx is done.
func (d *daemon) serveAPI(ctx context.Context) error {
	a, release := d.use()
	address := a.cfg.APIListen
	release()
	if address == "" {
		<-ctx.Done()
		return nil
	}
	listener, err := observe.Listen(ctx, address)
	if err != nil {
		return err
	}
	d.log.Info("health, metrics and status are served", "address", listener.Addr().String())
	return observe.Serve(ctx, listener, observe.Source{
		Alive: d.runner.LastTurn, MaxSilence: aliveWithin, Ready: d.notReady, Metrics: d.metrics,
		Status: func(context.Context) ([]any, error) {
			a, release := d.use()
			defer release()
			shown, err := a.statusOf(nil)
			if err != nil {
				return nil, err
			}
			all := make([]any, len(shown))
			for i, st := range shown {
				all[i] = st
			}
			return all, nil
		},
	}, d.log)
}

// statuses are the vaults as status shows them.
func (d *daemon) statuses() []vaultStatus {
	a, release := d.use()
	defer release()
	phases := a.phases()
	var all []vaultStatus
	for _, v := range a.cfg.Vaults {
		all = append(all, a.vaultStatus(v.Name, phases))
	}
	return all
}

// notReady lists the vaults whose last run failed, and why.
func (d *daemon) notReady(context.Context) []string {
	var reasons []string
	for _, st := range d.statuses() {
		if st.State == "failing" || st.State == "backingOff" {
			reasons = append(reasons, fmt.Sprintf("%s: %s", st.Vault, st.Problem))
		}
	}
	return reasons
}

// measure tells the metrics of a run that ended.
func (d *daemon) measure(r reconcile.Report) {
	d.metrics.RunEnded(observe.RunFacts{
		Vault: r.Vault, Mode: r.Mode, Outcome: string(r.Outcome), DryRun: r.DryRun, Restricted: r.Mode == "user",
		Started: r.Started, Finished: r.Finished, Changes: changesByKind(r.Counts),
		Held: r.Counts.Held, Waiting: faultsIn(r.Waiting), Drift: r.Drift,
		DirectoryRequests: r.Requests.Directory, StoreRequests: r.Requests.Store,
	})
}

func changesByKind(c apply.Counts) map[string]int {
	return map[string]int{
		"create": c.Created, "update": c.Updated, "disable": c.Disabled, "enable": c.Enabled,
		"groupCreate": c.GroupsCreated, "groupUpdate": c.GroupsUpdated, "memberAdd": c.MembersAdded, "memberRemove": c.MembersRemoved,
	}
}

// pulled tells the metrics of a pull.
func (d *daemon) pulled(directory string, started time.Time, requests int, failed bool, throttled time.Time) {
	d.metrics.PullEnded(observe.PullFacts{Directory: directory, Failed: failed, Started: started, Finished: time.Now(), Requests: requests})
	d.metrics.DirectoryThrottled(directory, throttled)
}
