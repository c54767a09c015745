package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
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
		ConnContext: s.conns.Enter, ConnState: s.conns.State,
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
