package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/eiderdb/eider"
)

// DefaultAddr is where Server listens when it is told nothing.
const DefaultAddr = "127.0.0.1:8080"

// journalLag is how long a line of the access log may wait to be written with
// others.
const journalLag = 20 * time.Millisecond

// ErrNoKey reports a Listen on a network interface by a server without a key.
var ErrNoKey = errors.New("api: refusing to listen beyond loopback without a key; set one (Options.Key), make one (POST /v1/keys), or listen on " + DefaultAddr)

// Server is the standalone listener: timeouts, caps on connections and
// headers, and a drain at the end.
type Server struct {
	// Conns is how many connections may be open at once, default 4096. Further
	// ones wait in the kernel's queue.
	Conns int

	db       *eider.DB
	a        *api
	http     *http.Server
	draining chan struct{}
	drain    sync.Once
}

// NewServer prepares a server of db; it listens when told to.
func NewServer(db *eider.DB, o Options) (*Server, error) {
	s := &Server{db: db, draining: make(chan struct{})}
	h, a, err := newHandler(db, o, s.draining)
	if err != nil {
		return nil, err
	}
	s.a = a
	a.journal.lag = journalLag
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // HTTP/2 needs TLS, which a proxy in front speaks
	s.http = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: a.o.Patience,
		IdleTimeout:       12 * a.o.Patience,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
		Protocols:         protocols,
	}
	return s, nil
}

// Listen opens addr ("" is DefaultAddr). It refuses an address that is not
// loopback with ErrNoKey unless there is a key.
func (s *Server) Listen(addr string) (net.Listener, error) {
	if addr == "" {
		addr = DefaultAddr
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("api: address %q: %w; write host:port, such as %s", addr, err, DefaultAddr)
	}
	local := host == "localhost"
	if ip := net.ParseIP(host); ip != nil {
		local = ip.IsLoopback()
	}
	if !local && !s.a.guarded() {
		return nil, ErrNoKey
	}
	s.a.exposed = s.a.exposed || !local
	if local && len(s.a.o.Hosts) == 0 {
		s.a.o.Hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	return net.Listen("tcp", addr)
}

// Serve accepts connections until Shutdown or an error of l. It returns nil
// after Shutdown.
func (s *Server) Serve(l net.Listener) error {
	conns := s.Conns
	if conns <= 0 {
		conns = 4096
	}
	err := s.http.Serve(newListener(l, conns, s.a.o.Patience))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// ListenAndServe is Listen and Serve.
func (s *Server) ListenAndServe(addr string) error {
	l, err := s.Listen(addr)
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// Shutdown drains: /readyz fails at once, feeds end, no new connection is
// taken, running requests finish. When ctx ends first, what still runs is cut.
// The database stays open.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain.Do(func() { close(s.draining) })
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	s.a.journal.flush()
	if s.a.snapshots != nil {
		s.a.snapshots.Close()
	}
	return err
}
