package api

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are the near ends of pipes.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// piped accepts one connection with deadlines kept to tick, and returns both
// ends.
func piped(t *testing.T, tick time.Duration) (*listener, net.Conn, net.Conn) {
	near, far := net.Pipe()
	p := make(pipes, 1)
	p <- near
	l := newListener(p, 2, 16*tick)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return l, c, far
}

func TestDeadlinesTakeEffectWithinATickAndNeverEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tick = 10 * time.Millisecond
		l, c, far := piped(t, tick)
		defer far.Close()
		defer c.Close()
		l.Close() // connections outlive it
		b := make([]byte, 1)
		ends := func(what string, fn func([]byte) (int, error), from, to time.Duration) {
			t.Helper()
			start := time.Now()
			_, err := fn(b)
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took < from || took > to {
				t.Errorf("%s: %v after %v, want a timeout after %v to %v", what, err, took, from, to)
			}
		}
		for _, d := range []time.Duration{25 * time.Millisecond, 100 * time.Millisecond} {
			c.SetReadDeadline(time.Now().Add(d))
			ends("read", c.Read, d, d+tick)
			c.SetWriteDeadline(time.Now().Add(d))
			ends("write", c.Write, d, d+tick)
			ends("write after it", c.Write, 0, 0)
		}
		c.SetDeadline(time.Now().Add(20 * time.Millisecond))
		time.AfterFunc(15*time.Millisecond, func() { c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) })
		ends("moved later", c.Read, 115*time.Millisecond, 115*time.Millisecond+tick)
		c.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { c.SetReadDeadline(past) })
		ends("moved to the past", c.Read, time.Second, time.Second)
	})
}

func TestAClearedDeadlineLetsReadsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, far := piped(t, 10*time.Millisecond)
		defer far.Close()
		defer c.Close()
		b := make([]byte, 1)
		for _, passed := range []bool{false, true} {
			c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
			if passed {
				time.Sleep(time.Second)
			}
			c.SetReadDeadline(time.Time{})
			time.AfterFunc(time.Minute, func() { far.Write(b) })
			if n, err := c.Read(b); n != 1 || err != nil {
				t.Errorf("deadline passed %v: read %d, %v", passed, n, err)
			}
		}
	})
}
