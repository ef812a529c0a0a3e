package storage

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// fatalWait bounds Options.OnFatal.
const fatalWait = 5 * time.Second

// logger adapts slog to Pebble. Pebble calls Fatalf when it cannot write its
// log or manifest and must not go on: an fsync that failed cannot be retried,
// because the kernel may already have dropped the dirty pages (S7). Fatalf must
// not return, so it ends the process. Where Pebble would panic instead, diskFS
// gets there first.
type logger struct {
	log     *slog.Logger
	onFatal func(error)
	once    sync.Once
}

// Infof logs at debug level: Pebble reports every flush and compaction.
func (l *logger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pebble: " + fmt.Sprintf(format, args...))
	}
}

// Errorf logs an error that Pebble retries or reports elsewhere.
func (l *logger) Errorf(format string, args ...any) {
	l.log.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf runs OnFatal and exits with ExitFatal. It never returns.
func (l *logger) Fatalf(format string, args ...any) {
	l.fatal(fmt.Errorf(format, args...))
}

func (l *logger) fatal(err error) {
	l.once.Do(func() {
		l.log.Error("storage: cannot write the log, ending the process", "error", err, "exit", ExitFatal)
		if l.onFatal != nil {
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { _ = recover() }() // OnFatal's panic must not hide the exit code
				l.onFatal(err)
			}()
			select {
			case <-done:
			case <-time.After(fatalWait):
			}
		}
		exit(ExitFatal)
	})
	select {} // a second failing goroutine waits for the first to end the process
}
