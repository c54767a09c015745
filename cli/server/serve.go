package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
)

// ErrDrain says that some requests were cut off because the service had to stop.
var ErrDrain = errors.New("some requests were not answered in the time that there was to stop")

// headerBytes bounds a request's header.
const headerBytes = 16 << 10

// Serve answers on l until ctx ends. Then it takes no new requests, answers those that it took, within Options.Drain,
// and closes the model. config is for TLS; nil is plain HTTP. Serve closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener, config *tls.Config) error {
	h := &http.Server{
		Handler: s.handler, TLSConfig: config, MaxHeaderBytes: headerBytes,
		ReadHeaderTimeout: s.o.HeaderTimeout, IdleTimeout: s.o.IdleTimeout,
		ConnContext: s.conns.enter, ConnState: s.conns.state,
		ErrorLog: slog.NewLogLogger(quiet{s.log.Handler()}, slog.LevelDebug),
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: max(s.o.MaxImages, 128)},
	}
	failed := make(chan error, 1)
	go func() {
		if config != nil {
			failed <- h.ServeTLS(l, "", "")
		} else {
			failed <- h.Serve(l)
		}
	}()
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.engine.refuseNew()
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Drain)
	defer cancel()
	if down := h.Shutdown(rest); down != nil && err == nil {
		h.Close()
		err = ErrDrain
	}
	s.Close()
	return err
}

// quiet is a handler for what net/http says about single connections: it is for those who look for trouble only.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

// Certificate is a certificate and key in files, which Load reads again.
type Certificate struct {
	Cert, Key string

	mu   sync.Mutex
	pair *tls.Certificate
}

// Load reads the files. Where they are wrong, what was read before stays.
func (c *Certificate) Load() error {
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return fmt.Errorf("read certificate %q with key %q: %s", c.Cert, c.Key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	c.mu.Lock()
	c.pair = &pair
	c.mu.Unlock()
	return nil
}

// Config is for a listener whose certificate may change.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.pair, nil
		},
	}
}
