package eider

import (
	"fmt"
	"sync"
	"time"

	"github.com/eiderdb/eider/storage"
)

// pins keeps the views of search cursors readable for a while.
type pins struct {
	mu    sync.Mutex
	held  map[uint64]*pinned // by LSN
	order []uint64           // oldest use first
}

type pinned struct {
	view  *storage.View
	timer *time.Timer
}

// maxPins bounds the snapshots held for cursors; the least recently used goes
// first.
const maxPins = 32

// pin keeps v for CursorLife from now.
func (db *DB) pin(v *storage.View) {
	p := &db.pins
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = map[uint64]*pinned{}
	}
	lsn := v.LSN()
	if e, ok := p.held[lsn]; ok {
		e.timer.Reset(CursorLife)
		return
	}
	if len(p.held) >= maxPins {
		p.drop(p.order[0])
	}
	p.held[lsn] = &pinned{view: v.Retain(), timer: time.AfterFunc(CursorLife, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.drop(lsn)
	})}
	p.order = append(p.order, lsn)
}

// drop lets one view go. The caller holds mu.
func (p *pins) drop(lsn uint64) {
	e, ok := p.held[lsn]
	if !ok {
		return
	}
	e.timer.Stop()
	e.view.Release()
	delete(p.held, lsn)
	for i, x := range p.order {
		if x == lsn {
			p.order = append(p.order[:i], p.order[i+1:]...)
			break
		}
	}
}

func (p *pins) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.order) > 0 {
		p.drop(p.order[0])
	}
}

// viewAt takes the newest view, or the one pinned for a cursor of lsn.
func (db *DB) viewAt(lsn uint64) (*storage.View, error) {
	if lsn != 0 {
		db.pins.mu.Lock()
		defer db.pins.mu.Unlock()
		if e, ok := db.pins.held[lsn]; ok {
			return e.view.Retain(), nil
		}
		return nil, fmt.Errorf("%w: it was of LSN %d and cursors live %v; run the query again", ErrCursor, lsn, CursorLife)
	}
	v, err := db.store.Acquire()
	if err != nil {
		return nil, translate(err)
	}
	return v, nil
}
