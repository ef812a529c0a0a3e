package storage

import (
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// How long flushes and compactions may fail without one success before the
// process is ended. Pebble retries a failed flush for ever and at once; the log
// keeps what was acknowledged, but once the write buffers are full every commit
// waits, and Close with them (S7: we stop rather than hang). A full disk gets
// longer, because space may come back.
const (
	patience      = 5 * time.Second
	patienceSpace = 10 * time.Second
)

// background watches Pebble's background work.
type background struct {
	log *logger

	mu    sync.Mutex
	since time.Time // of the first error after the last success, zero if none
	count int
}

// listener returns the events to give to Pebble.
func (b *background) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: b.failed,
		FlushEnd: func(i pebble.FlushInfo) {
			if i.Err == nil {
				b.worked()
			}
		},
		CompactionEnd: func(i pebble.CompactionInfo) {
			if i.Err == nil {
				b.worked()
			}
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			b.log.log.Error("storage: a table file is damaged; run Check, restore a backup", "file", i.Path, "error", i.Details)
		},
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) { b.log.log.Debug("storage: writes stall", "reason", i.Reason) },
	}
}

func (b *background) worked() {
	b.mu.Lock()
	b.since, b.count = time.Time{}, 0
	b.mu.Unlock()
}

// failed notes an error. Pebble calls it with its mutex held and retries when
// it returns, so a short sleep here is the back-off Pebble lacks.
func (b *background) failed(err error) {
	b.mu.Lock()
	if b.count == 0 {
		b.since = time.Now()
	}
	b.count++
	count, age := b.count, time.Since(b.since)
	b.mu.Unlock()
	if count == 1 {
		b.log.log.Error("storage: background work failed, it is tried again", "error", err)
	}
	limit := patience
	if vfs.IsNoSpaceError(err) {
		limit = patienceSpace
	}
	if age > limit {
		b.log.fatal(fmt.Errorf("background work has failed for %v, %d times in a row: %w", age.Round(time.Second), count, err))
	}
	if count > 10 {
		time.Sleep(2 * time.Millisecond)
	}
}
