package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/eiderdb/eider"
	"github.com/eiderdb/eider/api"
)

// drainTime is how long running requests may take after a signal.
const drainTime = 15 * time.Second

type serveCmd struct {
	texts
	listening
	ReadOnly bool   `help:"Serve reads only, beside a process that writes."`
	Backups  string `help:"Directory for snapshots taken over HTTP; without it they are off." placeholder:"DIR"`
}

// listening are the flags of verbs that serve.
type listening struct {
	Addr    string `help:"Address to listen on." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	KeyFile string `help:"File with the administrator's key; required beyond loopback." placeholder:"FILE"`
	TLSCert string `help:"File with the certificate chain; serves HTTPS with --tls-key." placeholder:"FILE"`
	TLSKey  string `help:"File with the certificate's private key." placeholder:"FILE"`
}

// Run serves until a signal, then lets running requests finish and closes the
// database.
func (c *serveCmd) Run(ctx context.Context, t *terminal) (err error) {
	log := t.logger(slog.LevelInfo)
	db, err := c.open(&eider.Options{ReadOnly: c.ReadOnly, Logger: log}, !c.ReadOnly)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	return c.serve(ctx, t, db, api.Options{Snapshots: c.Backups, Logger: log, Version: buildOf().Version})
}

// serve serves db until ctx ends.
func (c *listening) serve(ctx context.Context, t *terminal, db *eider.DB, o api.Options) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	o.Key = key
	secure, err := c.tls()
	if err != nil {
		return err
	}
	server, err := api.NewServer(db, o)
	if err != nil {
		return failed(strings.TrimPrefix(err.Error(), "api: "), "")
	}
	l, err := server.Listen(c.Addr)
	if err != nil {
		return listenError(c.Addr, err)
	}
	scheme := "http"
	if secure != nil {
		scheme, l = "https", tls.NewListener(l, secure)
	} else if ip := net.ParseIP(host(l)); ip != nil && !ip.IsLoopback() {
		t.note("warning: keys travel in the clear; give --tls-cert and --tls-key, or put a proxy with TLS in front")
	}
	if err := announce(t, scheme, l); err != nil {
		return errors.Join(err, l.Close())
	}
	warm := make(chan struct{})
	go func() {
		defer close(warm)
		if err := db.Models().Ready(ctx); err != nil && ctx.Err() == nil {
			o.Logger.Error("a model that serves cannot be loaded", "err", err)
		}
	}()
	defer func() { <-warm }()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(l) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	t.note("draining: running requests have %v; a second signal stops at once", drainTime)
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		t.note("some requests did not finish in time and were cut: %v", err)
	}
	return <-stopped
}

// announce says where the console is.
func announce(t *terminal, scheme string, l net.Listener) error {
	base := scheme + "://" + l.Addr().String()
	if t.json {
		if err := t.print(map[string]string{"url": base, "ui": base + "/ui"}); err != nil {
			return err
		}
	} else {
		t.printf("  console  %s\n  API      %s/v1  (described at %s/docs)\n", t.style(blue, base+"/ui"), base, base)
	}
	return t.flush()
}

func host(l net.Listener) string {
	h, _, _ := net.SplitHostPort(l.Addr().String())
	return h
}

// key reads the key file: its only line.
func (c *listening) key() (string, error) {
	if c.KeyFile == "" {
		return "", nil
	}
	text, err := inline("@" + c.KeyFile)
	if err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(text))
	if key == "" || strings.ContainsAny(key, " \t\r\n") {
		return "", failed(c.KeyFile+" must hold one key on one line", "make one with `openssl rand -base64 32 > "+c.KeyFile+"`")
	}
	if info, err := os.Stat(c.KeyFile); err == nil && info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		return "", failed("others can read "+c.KeyFile, "run `chmod 600 "+c.KeyFile+"`")
	}
	return key, nil
}

// tls loads the certificate, nil without one.
func (c *listening) tls() (*tls.Config, error) {
	switch {
	case c.TLSCert == "" && c.TLSKey == "":
		return nil, nil
	case c.TLSCert == "" || c.TLSKey == "":
		return nil, usage("--tls-cert and --tls-key go together", "give both")
	}
	cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, failed(fmt.Sprintf("cannot use the certificate: %v", err), "check --tls-cert and --tls-key")
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, nil
}

func listenError(addr string, err error) error {
	what := strings.TrimPrefix(err.Error(), "api: ")
	switch {
	case errors.Is(err, api.ErrNoKey):
		return failed("refusing to listen on "+addr+" without a key: everyone who reaches it could read and write", "give --key-file, or listen on 127.0.0.1")
	case errors.Is(err, syscall.EADDRINUSE):
		return failed(addr+" is in use", "stop the other program or choose another --addr; port 0 takes a free one")
	default:
		return failed("cannot listen: "+what, "check --addr")
	}
}

// logger writes to standard error: text for people, JSON lines with --json.
func (t *terminal) logger(level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if t.json {
		return slog.New(slog.NewJSONHandler(t.errs, o))
	}
	return slog.New(slog.NewTextHandler(t.errs, o))
}
