package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eiderdb/eider/internal/fault"
	"github.com/eiderdb/eider/storage/format"
)

// A script is what one worker does: call n is a function of (seed, worker, n),
// on ids of its own. After a crash the store must hold, for each worker, the
// effects of its calls 1..n exactly, with n the last acknowledged or that plus
// one: nothing lost, torn or resurrected.
type script struct {
	seed   uint64
	worker int
}

const scriptIDs = 24 // ids of one worker

func (s script) id(i int) string { return fmt.Sprintf("%d-%d", s.worker, i) }

func scriptBody(tag string, n uint64) []byte {
	b, err := format.EncodeDocument(nil, []format.Field{{Name: "tag", Value: format.String(tag)}, {Name: "n", Value: format.Int64(int64(n))}})
	if err != nil {
		panic(err)
	}
	return b
}

// call returns the operations of call n and what they make of the model, which
// maps ids to the number of the call that wrote them.
func (s script) call(n uint64, coll uint32, model map[string]uint64) []Op {
	rng := rand.New(rand.NewPCG(s.seed^uint64(s.worker)<<32, n))
	var ops []Op
	for range 1 + rng.IntN(3) {
		id := s.id(rng.IntN(scriptIDs))
		if rng.IntN(4) == 0 {
			ops = append(ops, Op{Kind: Delete, Collection: coll, ID: id})
			delete(model, id)
			continue
		}
		data := make([]byte, 64)
		for i := range data {
			data[i] = byte(n)
		}
		binary.LittleEndian.PutUint64(data, n)
		ops = append(ops, Op{Kind: Put, Collection: coll, ID: id, Body: scriptBody(fmt.Sprint(n%5), n), Vectors: []Vec{{0, data}}})
		model[id] = n
	}
	// One id of every worker is written by every call, so that no call is empty.
	head := s.id(scriptIDs)
	model[head] = n
	return append(ops, Op{Kind: Put, Collection: coll, ID: head, Body: scriptBody("head", n), Vectors: []Vec{{0, binary.LittleEndian.AppendUint64(nil, n)}}})
}

// model replays calls 1..n.
func (s script) model(n uint64) map[string]uint64 {
	m := map[string]uint64{}
	for i := uint64(1); i <= n; i++ {
		s.call(i, 0, m)
	}
	return m
}

// scriptCollection opens the script's collection, making it if need be.
func scriptCollection(s *Store) (uint32, error) {
	v, err := s.Acquire()
	if err != nil {
		return 0, err
	}
	defer v.Release()
	if c, ok := v.Collection("script"); ok {
		return c.ID, nil
	}
	c, err := s.CreateCollection(context.Background(), "script", format.IDString, nil)
	return c.ID, err
}

// play runs a script from after call n until stop, reporting each call's number
// when it is acknowledged. It stops at the first error and returns it.
func (s script) play(st *Store, coll uint32, n uint64, acked func(uint64) bool) error {
	for {
		n++
		if _, err := st.Commit(context.Background(), s.call(n, coll, map[string]uint64{})); err != nil {
			return err
		}
		if !acked(n) {
			return nil
		}
	}
}

// verifyScript checks a reopened store against the scripts: acked are the last
// acknowledged calls by worker. It returns the calls the store holds.
func verifyScript(s *Store, seed uint64, acked []uint64) ([]uint64, error) {
	rep, err := s.Check(context.Background())
	if err != nil {
		return nil, err
	}
	if !rep.OK() {
		return nil, fmt.Errorf("check: %+v", rep.Problems)
	}
	v, err := s.Acquire()
	if err != nil {
		return nil, err
	}
	defer v.Release()
	got := make([]map[string]uint64, len(acked))
	for i := range got {
		got[i] = map[string]uint64{}
	}
	c, ok := v.Collection("script")
	if !ok {
		for w, n := range acked {
			if n > 0 {
				return nil, fmt.Errorf("worker %d: call %d was acknowledged, the collection is gone", w, n)
			}
		}
		return make([]uint64, len(acked)), nil
	}
	var bad error
	err = v.ScanIDs(c.ID, "", func(id string, ord uint32, _ uint64) bool {
		rec, err := v.Record(c.ID, ord)
		if err != nil {
			bad = err
			return false
		}
		n, _ := format.Lookup(rec.Body, "n")
		vec, err := rec.Vector(0, nil)
		if err != nil || binary.LittleEndian.Uint64(vec) != uint64(n.Int64()) {
			bad = fmt.Errorf("id %s of call %v has the vector of another call: %x %v", id, n, vec, err)
			return false
		}
		w, _, _ := strings.Cut(id, "-")
		worker, err := strconv.Atoi(w)
		if err != nil || worker >= len(got) {
			bad = fmt.Errorf("foreign id %q", id)
			return false
		}
		got[worker][id] = uint64(n.Int64())
		return true
	})
	if err = errors.Join(err, bad); err != nil {
		return nil, err
	}
	held := make([]uint64, len(acked))
	for w, n := range acked {
		sc := script{seed, w}
		model := sc.model(n)
		if !maps.Equal(got[w], model) {
			sc.call(n+1, 0, model)
			n++
			if !maps.Equal(got[w], model) {
				return nil, fmt.Errorf("worker %d: the store holds neither call %d's state nor %d's: %v", w, n-1, n, got[w])
			}
		}
		held[w] = n
	}
	return held, nil
}

func TestMain(m *testing.M) {
	switch mode := fault.Mode(); mode {
	case "":
		os.Exit(m.Run())
	case "kill":
		killChild()
	case "fail":
		failChild()
	case "events":
		eventsChild()
	default:
		fmt.Fprintln(os.Stderr, "unknown mode", mode)
		os.Exit(98)
	}
}

// ackLog is the last acknowledged call of every worker.
type ackLog struct {
	mu   sync.Mutex
	last []uint64
}

func (a *ackLog) set(worker int, n uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last[worker] = n
}

func (a *ackLog) copy() []uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]uint64(nil), a.last...)
}

// crashOptions make Pebble flush and compact often, so that cuts and faults hit
// every kind of its file operations.
func crashOptions(fs vfs.FS) *Options {
	return &Options{FS: fs, Compile: testTerms, MemoryTable: 32 << 10, CacheBytes: 1 << 20, BitmapBytes: 1 << 20, MinFree: -1}
}
