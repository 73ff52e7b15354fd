//go:build !windows

package service

import (
	"context"
	"errors"
	"log/slog"
)

// Run runs work as the service: under systemd the process is told to stop by a
// signal, which the caller turns into the end of ctx.
func Run(ctx context.Context, work Work) (exit int, err error) {
	return Live(ctx, nil, func(Status) {}, work), nil
}

// OpenEventLog is for Windows: elsewhere the service logs to stderr, which the
// journal keeps.
func OpenEventLog(slog.Leveler) (handler slog.Handler, closeLog func() error, err error) {
	return nil, nil, errors.New("there is no event log on this system")
}
