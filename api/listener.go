package api

import (
	"net"
	"sync"
	"time"
)

// listener holds back Accept while too many connections are open, and ends the
// reads and writes that take longer than their deadline.
//
// net/http moves a connection's deadlines six times a request. A timer of the
// runtime for each would wake another thread most times, which on an idle machine costs more than
// the rest of a request. So a deadline is a number here, and one timer for all
// connections looks at them every tick while any is open: a deadline takes
// effect up to a tick late, never early.
type listener struct {
	net.Listener
	free   chan struct{}
	closed chan struct{}
	once   sync.Once
	tick   time.Duration

	mu    sync.Mutex
	open  map[*conn]struct{}
	timer *time.Timer
}

// maxTick bounds how late a deadline takes effect.
const maxTick = 250 * time.Millisecond

// newListener caps the connections of l. Clients have patience to make
// progress; deadlines are kept to a sixteenth of it.
func newListener(l net.Listener, conns int, patience time.Duration) *listener {
	return &listener{Listener: l, free: make(chan struct{}, conns), closed: make(chan struct{}),
		tick: max(min(patience/16, maxTick), time.Millisecond), open: map[*conn]struct{}{}}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	inner, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	if tcp, ok := inner.(*net.TCPConn); ok {
		tcp.SetKeepAlivePeriod(30 * time.Second)
	}
	c := &conn{Conn: inner, l: l}
	c.read.set, c.write.set = inner.SetReadDeadline, inner.SetWriteDeadline
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = struct{}{}
	if l.timer == nil {
		l.timer = time.AfterFunc(l.tick, l.sweep)
	} else if len(l.open) == 1 {
		l.timer.Reset(l.tick)
	}
	return c, nil
}

// Close stops accepting; connections stay open and keep their deadlines.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// sweep ends what is overdue. It runs every tick while a connection is open.
func (l *listener) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for c := range l.open {
		c.read.expire(now)
		c.write.expire(now)
	}
	if len(l.open) > 0 {
		l.timer.Reset(l.tick)
	}
}

// conn is an open connection.
type conn struct {
	net.Conn
	l           *listener
	once        sync.Once
	read, write deadline
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.read.move(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.write.move(t) }

func (c *conn) SetDeadline(t time.Time) error {
	if err := c.read.move(t); err != nil {
		return err
	}
	return c.write.move(t)
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.l.mu.Lock()
		delete(c.l.open, c)
		c.l.mu.Unlock()
		<-c.l.free
	})
	return err
}

// deadline is when reading or writing ends. The connection below knows only
// that it has passed.
type deadline struct {
	mu     sync.Mutex
	set    func(time.Time) error // of the connection below
	at     time.Time             // zero for none
	passed bool                  // and the connection below was told
}

// past is a time that has passed on every clock.
var past = time.Unix(1, 0)

// move sets the deadline to t, zero for none. A time that has passed takes
// effect at once.
func (d *deadline) move(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	passed := !t.IsZero() && time.Until(t) <= 0
	if passed == d.passed {
		return nil
	}
	d.passed = passed
	if passed {
		return d.set(past)
	}
	return d.set(time.Time{})
}

// expire ends what waits if the deadline is before now.
func (d *deadline) expire(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.passed && !d.at.IsZero() && d.at.Before(now) {
		d.passed = true
		d.set(past) // fails only on a closed connection
	}
}
