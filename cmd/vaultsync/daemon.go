package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/control"
	"github.com/vaultsync/vaultsync/pkg/observe"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/schedule"
)

// daemon runs the vaults when they are due and executes the commands that
// reach it. It has one app at a time; reload exchanges it when nothing uses it.
type daemon struct {
	log     *slog.Logger
	metrics *observe.Metrics
	load    func() (*config.Config, error)
	runner  *schedule.Runner
	// told hears of every run that ended.
	told func(reconcile.Report, error)

	times *schedule.File

	reloads sync.Mutex // one at a time, taken before mu

	mu    sync.Mutex
	app   *app
	users int
	// yield ends the waiting of scheduled runs for their directories.
	yield chan struct{}
	// alone is set while a command has the files of the state for itself.
	alone bool
	idle  *sync.Cond
}

// reloadPatience bounds how long a reload waits for runs and commands to end.
const reloadPatience = 5 * time.Minute

// runDaemon runs until ctx is done and everything has reached a safe point.
// ready is called once the daemon takes commands.
func runDaemon(ctx context.Context, cfg *config.Config, load func() (*config.Config, error), log *slog.Logger, told func(reconcile.Report, error), ready func(*daemon)) (err error) {
	if err := ownFolder(cfg.DataDir); err != nil {
		return err
	}
	d := &daemon{log: log, load: load, told: told, metrics: observe.NewMetrics(versionText())}
	d.idle = sync.NewCond(&d.mu)
	server, err := control.Listen(endpoint(cfg), control.Options{ConfigDigest: d.digest, Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	times, err := schedule.OpenFile((&app{cfg: cfg}).timesPath())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, times.Close()) }()
	d.times = times
	a, err := openApp(cfg, log)
	if err != nil {
		return err
	}
	d.app = a
	defer func() { err = errors.Join(err, d.app.Close()) }()
	d.runner, err = schedule.NewRunner(schedule.Options{Concurrency: cfg.Concurrency, Logger: log, Times: times}, d.jobs(cfg))
	if err != nil {
		return err
	}
	d.equip(a)
	for _, st := range d.statuses() {
		d.metrics.VaultKnown(st.Vault, st.lastRunAt(), st.lastSuccessAt())
	}
	return d.serve(ctx, server, ready)
}

// serve runs the actors of the daemon; the first that fails ends them all.
func (d *daemon) serve(ctx context.Context, server *control.Server, ready func(*daemon)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wait sync.WaitGroup
	var errs [3]error
	actor := func(i int, run func() error) {
		wait.Go(func() {
			defer stop()
			errs[i] = run()
		})
	}
	actor(0, func() error { return d.runner.Run(ctx) })
	actor(1, func() error { return server.Serve(ctx, d.execute) })
	actor(2, func() error { return d.serveAPI(ctx) })
	ready(d)
	wait.Wait()
	return errors.Join(errs[:]...)
}

// use gives the app for as long as release is not called.
func (d *daemon) use() (a *app, release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.alone {
		d.idle.Wait()
	}
	d.users++
	return d.app, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.users--
		d.idle.Broadcast()
	}
}

func (d *daemon) digest() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.app.cfg.Digest
}

// execute runs one command line that a client sent.
func (d *daemon) execute(ctx context.Context, request control.Request, streams control.Streams) int {
	s := &session{out: streams.Stdout, err: streams.Stderr, outTerminal: request.StdoutTerminal, errTerminal: request.StderrTerminal, in: bytes.NewReader(nil)}
	if input, ok := request.Input("-"); ok {
		s.in = bytes.NewReader(input)
	}
	if len(request.Args) > 0 && request.Args[0] == "reload" {
		if err := d.reload(ctx); err != nil {
			fmt.Fprintln(s.err, errorText(err)) //nolint:errcheck // nowhere left to say so
			return exitCode(ctx, err)
		}
		fmt.Fprintln(s.out, "the configuration was read again") //nolint:errcheck // a remark
		return exitDone
	}
	if needsGround(request.Args) {
		return d.executeAlone(ctx, s, request.Args)
	}
	a, release := d.use()
	defer release()
	s.daemon = a
	return s.execute(ctx, request.Args)
}

// jobs are the vaults' runs.
func (d *daemon) jobs(cfg *config.Config) []schedule.Job {
	var jobs []schedule.Job
	for _, v := range cfg.Vaults {
		settings, _ := cfg.Directory(v.Directory)
		jobs = append(jobs, schedule.Job{
			Name: v.Name, Spec: v.Schedule,
			Prepare: func(ctx context.Context, kind schedule.Kind) error {
				return d.prepare(ctx, v, kind, settings.Freshness)
			},
			Run: func(ctx context.Context, kind schedule.Kind) error { return d.run(ctx, v, kind) },
		})
	}
	return jobs
}

// prepare waits for the vault's directory, before the vault takes a place. A run
// that does not get further is told like one that did.
func (d *daemon) prepare(ctx context.Context, v config.Vault, kind schedule.Kind, freshness time.Duration) error {
	a, release := d.use()
	defer release()
	err := d.pull(ctx, a, v, kind, freshness)
	if err != nil && !errors.Is(err, schedule.ErrPutOff) {
		d.told(a.failed(v.Name, err), err)
	}
	return err
}

func (d *daemon) pull(ctx context.Context, a *app, v config.Vault, kind schedule.Kind, freshness time.Duration) error {
	dir, err := a.directory(v.Directory)
	if err != nil {
		return err
	}
	ctx, end := d.yielding(ctx, kind)
	defer end()
	started := time.Now()
	pulled, err := dir.Pull(ctx, reconcile.Pull{
		MaxAge: maxAge(kind, freshness), Asked: kind.Asked, Full: kind.Full && kind.ByHand,
		Progress: func(p reconcile.Progress) { a.tell(v.Name, p) },
	})
	a.prepared(v.Name, pulled.Requests)
	if pulled.Own {
		throttled, _ := dir.Throttled()
		d.pulled(v.Directory, started, pulled.Requests, err != nil, throttled)
	}
	if err != nil {
		return fmt.Errorf("read the directory %s: %w", v.Directory, err)
	}
	return nil
}

// maxAge is how old the local copy may be: a run by hand asks the directory.
func maxAge(kind schedule.Kind, freshness time.Duration) time.Duration {
	if kind.ByHand {
		return 0
	}
	return freshness
}

// asPrepared is the age of a local copy that a run takes as it is. However long
// the run has waited for its place: a directory that hangs must not be asked by
// somebody who holds one.
const asPrepared = 365 * 24 * time.Hour

// run makes one run; its directory has been read by prepare.
func (d *daemon) run(ctx context.Context, v config.Vault, kind schedule.Kind) error {
	a, release := d.use()
	defer release()
	report, err := a.run(ctx, v.Name, reconcile.Options{Full: kind.Full, MaxAge: asPrepared, Prepared: true, ByHand: kind.ByHand})
	d.measure(report)
	d.told(report, err)
	return err
}

// reload reads the configuration again, all or nothing: with a problem in it,
// or with state that cannot be opened, everything stays as it was.
func (d *daemon) reload(ctx context.Context) error {
	cfg, err := d.load()
	if err != nil {
		return err
	}
	d.reloads.Lock()
	defer d.reloads.Unlock()
	// What can be known to be wrong is known before anything is closed.
	if err := (&app{cfg: cfg, vaults: map[string]*reconcile.Vault{}}).compile(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if cfg.DataDir != d.app.cfg.DataDir {
		return usageError{text: "dataDir cannot change while the daemon runs", hint: "stop the service, move the folder, start it again"}
	}
	defer d.yieldSoon()()
	if err := d.waitIdle(ctx); err != nil {
		return err
	}
	before := d.app
	if err := before.Close(); err != nil {
		d.log.Warn("closing the state", "error", err)
	}
	next, err := openApp(cfg, d.log)
	if err == nil {
		err = d.runner.Replace(d.jobs(cfg), cfg.Concurrency)
	}
	if err != nil {
		if next != nil {
			err = errors.Join(err, next.Close())
		}
		back, backErr := openApp(before.cfg, d.log)
		if backErr != nil {
			return errors.Join(err, backErr)
		}
		next = back
	} else if cfg.APIListen != before.cfg.APIListen || cfg.Log != before.cfg.Log {
		d.log.Warn("api.listen and log take effect when the daemon is started anew")
	}
	d.equip(next)
	d.app = next
	return err
}

// equip gives an app what the daemon has.
func (d *daemon) equip(a *app) { a.runner, a.times = d.runner, d.times }

// executeAlone runs a command that needs the files of the state for itself:
// when no run and no command uses them, they are closed, and everybody else
// waits until the command is done.
func (d *daemon) executeAlone(ctx context.Context, s *session, args []string) (code int) {
	d.mu.Lock()
	if err := d.waitIdle(ctx); err != nil {
		d.mu.Unlock()
		fmt.Fprintln(s.err, errorText(err)) //nolint:errcheck // nowhere left to say so
		return exitCode(ctx, err)
	}
	d.alone = true
	before := d.app
	d.mu.Unlock()
	defer func() { code = gravest(code, d.reopen(ctx, before.cfg)) }()
	if err := before.Close(); err != nil {
		d.log.Warn("closing the state", "error", err)
	}
	s.ground, s.underDaemon = before.cfg, true
	return s.execute(ctx, args)
}

// reopen ends the time that a command had the files for itself.
func (d *daemon) reopen(ctx context.Context, cfg *config.Config) int {
	next, err := openApp(cfg, d.log)
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.idle.Broadcast()
	d.alone = false
	if err != nil {
		d.log.Error("the state cannot be opened again; start the daemon anew", "error", err)
		return exitCode(ctx, err)
	}
	d.equip(next)
	d.app = next
	return exitDone
}

// waitIdle waits, with d.mu held, until no run and no command uses the app.
func (d *daemon) waitIdle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadPatience)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.idle.Broadcast()
	})()
	for d.users > 0 || d.alone {
		if ctx.Err() != nil {
			return fmt.Errorf("runs are under way and do not end; everything stays as it was: %w", context.Cause(ctx))
		}
		d.idle.Wait()
	}
	return nil
}
