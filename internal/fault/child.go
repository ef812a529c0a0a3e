package fault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// modeEnv carries the mode of a child process.
const modeEnv = "EIDER_FAULT_MODE"

// Mode returns what this process was started to do by Start, "" in the parent.
// A TestMain asks it first.
func Mode() string { return os.Getenv(modeEnv) }

// Ack is one fixed-size record a child sends after the API under test has
// returned: what the parent has read must be durable.
type Ack struct {
	Worker uint32
	Tag    uint32 // meaning is the suite's
	Count  uint64
}

const ackBytes = 16

// Acks sends records to the parent. Safe for many goroutines: a record is one
// write, smaller than what a pipe keeps whole.
type Acks struct{ f *os.File }

// Reply returns the child's end of the pipe.
func Reply() *Acks { return &Acks{os.NewFile(3, "acks")} }

// Send writes one record.
func (a *Acks) Send(r Ack) {
	var b [ackBytes]byte
	binary.LittleEndian.PutUint32(b[0:], r.Worker)
	binary.LittleEndian.PutUint32(b[4:], r.Tag)
	binary.LittleEndian.PutUint64(b[8:], r.Count)
	if _, err := a.f.Write(b[:]); err != nil {
		os.Exit(99) // the parent is gone
	}
}

// Child is a running copy of this test binary.
type Child struct {
	cmd    *exec.Cmd
	first  chan struct{} // closed at the first ack
	stderr bytes.Buffer

	mu   sync.Mutex
	acks []Ack
	done chan error // of the reader
}

// Start runs this binary again with Mode() == mode and the extra environment.
func Start(mode string, env ...string) (*Child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &Child{first: make(chan struct{}), done: make(chan error, 1)}
	c.cmd = exec.Command(os.Args[0], "-test.run=^$")
	c.cmd.Env = append(append(os.Environ(), modeEnv+"="+mode), env...)
	c.cmd.ExtraFiles = []*os.File{w}
	c.cmd.Stderr = &c.stderr
	err = c.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("starting a child: %w", err)
	}
	go c.read(r)
	return c, nil
}

func (c *Child) read(r *os.File) {
	defer r.Close()
	var b [ackBytes]byte
	var once sync.Once
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = nil
			}
			c.done <- err
			return
		}
		c.mu.Lock()
		c.acks = append(c.acks, Ack{binary.LittleEndian.Uint32(b[0:]), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint64(b[8:])})
		c.mu.Unlock()
		once.Do(func() { close(c.first) })
	}
}

// KillAfter waits for the first ack, then delay, then kills the child as
// `kill -9` does, unless it ends by itself within limit. The delay counts from
// the first ack, because most kills would otherwise hit the start-up.
func (c *Child) KillAfter(delay, limit time.Duration) {
	select {
	case <-c.first:
		time.Sleep(delay)
	case <-time.After(limit):
	}
	_ = c.cmd.Process.Kill()
}

// Wait returns everything the child acknowledged, its exit code (-1 if it was
// killed) and what it wrote to standard error. A child that runs longer than
// limit is killed and reported as hung.
func (c *Child) Wait(limit time.Duration) (acks []Ack, code int, stderr string, hung bool) {
	timer := time.AfterFunc(limit, func() {
		c.mu.Lock()
		hung = true
		c.mu.Unlock()
		_ = c.cmd.Process.Kill()
	})
	readErr := <-c.done // the pipe closes when the child ends
	err := c.cmd.Wait()
	timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	code = c.cmd.ProcessState.ExitCode()
	if err != nil && code == 0 || readErr != nil {
		code = -2
	}
	return c.acks, code, c.stderr.String(), hung
}

// Kill starts a child, kills it that long after its first ack, and returns what it
// acknowledged. Error: the child did not start, or ended by itself.
func Kill(mode string, delay time.Duration, env ...string) ([]Ack, error) {
	c, err := Start(mode, env...)
	if err != nil {
		return nil, err
	}
	c.KillAfter(delay, 20*time.Second)
	acks, code, stderr, hung := c.Wait(30 * time.Second)
	if code != -1 || hung {
		return nil, fmt.Errorf("the child ended by itself with code %d: %s", code, stderr)
	}
	return acks, nil
}
