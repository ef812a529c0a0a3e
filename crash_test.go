package eider

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The crash test re-executes the test binary as a child that writes until it
// is killed. The child prints an intent before each call and an acknowledgement
// after it, so what must be there (acknowledged) and what may be there
// (intended) are both known.

const childDir = "EIDER_CRASH_DIR"

// die ends a child, unless err is nil: the parent's test fails with it.
func die(err error) {
	if err != nil {
		fmt.Println("fail", err)
		os.Exit(1)
	}
}

// TestCrashChild is the child; on its own it does nothing.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	seed, _ := strconv.ParseUint(os.Getenv("EIDER_CRASH_SEED"), 10, 64)
	db, err := Open(dir, &Options{SnapshotInterval: 30 * time.Millisecond})
	die(err)
	c, err := db.CreateCollection(ctx, "c", crashSchema)
	die(err)
	var mu sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, format+"\n", args...)
		out.Flush()
	}
	for w := range 8 {
		go func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for n := 1; ; n++ {
				id := fmt.Sprintf("%d-%d", w, r.IntN(40))
				token := seed<<20 | uint64(w)<<16 | uint64(n)
				if r.IntN(4) == 0 {
					say("try delete %s 0", id)
					if _, err := c.Delete(ctx, id); err != nil {
						say("fail %v", err)
						return
					}
					say("ack delete %s 0", id)
					continue
				}
				say("try put %s %d", id, token)
				if _, err := c.Upsert(ctx, crashDoc(id, token)); err != nil {
					say("fail %v", err)
					return
				}
				say("ack put %s %d", id, token)
			}
		}()
	}
	select {}
}

var crashSchema = Schema{
	Fields: map[string]Field{"token": {Type: Int64, Index: true}},
	Vectors: map[string]Vector{
		"v": {Dim: 16, Index: VectorIndex{Codes: "int8"}},
		"d": {Dim: 16, Index: VectorIndex{Originals: "disk"}},
		"n": {Dim: 16, Prefixes: []int{4, 8}, Index: VectorIndex{Codes: "int4", Originals: "disk"}},
	},
}

// crashDoc derives a document wholly from its id and token.
func crashDoc(id string, token uint64) Doc {
	r := rand.New(rand.NewPCG(token, uint64(len(id))))
	v := vec(r, 16)
	return Doc{ID: id, Fields: map[string]any{"token": int64(token)}, Vectors: map[string][]float32{"v": v, "d": v, "n": v}}
}

// history is what a child said of one id: the last acknowledged state and the
// call that may or may not have happened after it.
type history struct {
	acked, tried uint64 // tokens; 0 is deleted or never there
	open         bool
}

func TestKilledProcessLosesNoAcknowledgedWrite(t *testing.T) {
	kills := kills(12, 250)
	dir := t.TempDir()
	seed := uint64(1)
	r := rand.New(rand.NewPCG(seed, 0))
	state := map[string]*history{}
	acks := 0
	for round := range kills {
		acks += runAndKill(t, "TestCrashChild", dir, seed+uint64(round), time.Duration(5+r.IntN(60))*time.Millisecond, state)
		verifyCrash(t, dir, round, state)
	}
	t.Logf("%d kills, %d acknowledged writes, 0 lost (seed %d)", kills, acks, seed)
	if acks < 5*kills {
		t.Errorf("only %d acknowledged writes: the test tests too little", acks)
	}
}

func runAndKill(t *testing.T, child, dir string, seed uint64, after time.Duration, state map[string]*history) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+child+"$")
	cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprintf("EIDER_CRASH_SEED=%d", seed))
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acks := 0
	lines := bufio.NewReader(pipe)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF || err == nil && !strings.HasSuffix(line, "\n") {
			break
		}
		if err != nil {
			break
		}
		f := strings.Fields(line)
		if len(f) > 0 && f[0] == "fail" {
			cmd.Process.Kill()
			cmd.Wait()
			t.Fatalf("child failed: %s", line)
		}
		if len(f) != 4 {
			continue
		}
		h := state[f[2]]
		if h == nil {
			h = &history{}
			state[f[2]] = h
		}
		token, _ := strconv.ParseUint(f[3], 10, 64)
		if f[0] == "try" {
			h.tried, h.open = token, true
			continue
		}
		h.acked, h.open = token, false
		if acks++; acks == 1 {
			time.AfterFunc(after, func() { cmd.Process.Kill() })
		}
	}
	cmd.Wait()
	return acks
}

// verify reads id, and its token, 0 if it is not there: it must be the one that was
// acknowledged, or tried last. What is found stays.
func (h *history) verify(t *testing.T, c *Collection, round int, id string) (d Doc, token uint64) {
	t.Helper()
	d, err := c.Get(ctx, id)
	if err == nil {
		token = uint64(d.Fields["token"].(int64))
	} else if CodeOf(err) != CodeNotFound {
		t.Fatalf("round %d: %v", round, err)
	}
	if token != h.acked && !(h.open && token == h.tried) {
		t.Fatalf("round %d: %s has token %d, acknowledged %d, tried %d (open %v)", round, id, token, h.acked, h.tried, h.open)
	}
	h.acked, h.open = token, false
	return d, token
}

// verifyCrash opens the directory and checks every id against its history.
func verifyCrash(t *testing.T, dir string, round int, state map[string]*history) {
	t.Helper()
	db, err := Open(dir, nil)
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	defer db.Close()
	c, err := db.Collection("c")
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	live := 0
	for id, h := range state {
		d, token := h.verify(t, c, round, id)
		if token == 0 {
			continue
		}
		live++
		for name, want := range crashDoc(id, token).Vectors {
			if !slices.Equal(want, d.Vectors[name]) {
				t.Fatalf("round %d: %s is torn", round, id)
			}
			res, err := c.Search(ctx, Query{Retrieve: []Retrieve{{Near: &Near{Vector: name, Value: want}}}, Limit: 1})
			if err != nil || len(res.Hits) != 1 || res.Hits[0].ID != id {
				t.Fatalf("round %d: %s is not found by its vector %s: %v %v", round, id, name, err, res.Hits)
			}
		}
		n, err := c.Count(ctx, &Filter{Field: "token", Eq: int64(token)})
		if err != nil || n != 1 {
			t.Fatalf("round %d: %s is found %d times by its field: %v", round, id, n, err)
		}
	}
	if n, err := c.Count(ctx, nil); err != nil || n != uint64(live) {
		t.Fatalf("round %d: %d documents, %d known: %v", round, n, live, err)
	}
	if rep, err := db.Check(ctx); err != nil || !rep.OK {
		t.Fatalf("round %d: check: %v %+v", round, err, rep)
	}
}
