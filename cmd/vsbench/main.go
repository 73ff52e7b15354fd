// Command vsbench measures the budgets of the design: a simulated tenant in a
// process of its own, the real engine (Graph SDK, mirror, reconcile, embedded
// store) in another, and the floor (a bare reader of the same pages, and one
// write of each durable record) in a third. `make bench` runs it; it is not
// shipped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vsbench:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing to undo at the end of the process
	}
}

// run is the parent, or one of the processes that the parent starts.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case roleTenant:
			return serveTenant(os.Stdin, os.Stdout, args[1:])
		case roleEngine:
			return engineProcess(ctx, os.Stdin, os.Stdout, args[1:])
		case roleFloor:
			return floorProcess(ctx, os.Stdout, args[1:])
		}
	}
	flags := flag.NewFlagSet("vsbench", flag.ContinueOnError)
	var o orderSheet
	full := flags.Bool("full", os.Getenv("BENCH") == "full", "measure a million people too (also: BENCH=full)")
	flags.Func("size", "`PEOPLE,GROUPS,NESTING,MEMBERSHIPS,VAULTS` to measure in place of the usual sizes; may be repeated", func(text string) error {
		s, err := parseSize(text)
		o.sizes = append(o.sizes, s)
		return err
	})
	flags.StringVar(&o.dir, "dir", "", "keep state in `DIR` (default: a temporary folder, removed at the end)")
	flags.StringVar(&o.profiles, "profile", "", "write CPU and heap profiles of the engine below `DIR`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if len(o.sizes) == 0 {
		o.sizes = usualSizes(*full)
	}
	return o.measure(ctx, os.Stdout, os.Stderr)
}
