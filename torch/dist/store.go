package dist

// #include <stdlib.h>
// #include "c10d/dist.h"
import "C"

import (
	"fmt"
	"net"
	"strconv"
	"time"
	"unsafe"
)

// Store is a key-value store over TCP at which ranks meet. It may be used from any goroutine; calls on one Store queue.
type Store struct {
	c    unsafe.Pointer
	Port int
}

// Host opens a store for others to connect to, on the port or, for 0, a free one. It serves until Close.
func Host(host string, port int, timeout time.Duration) (*Store, error) {
	return openStore(host, port, true, "", timeout)
}

// Connect connects to a store that another process hosts, and keeps trying until timeout. Keys get the prefix.
func Connect(host string, port int, prefix string, timeout time.Duration) (*Store, error) {
	return openStore(host, port, false, prefix, timeout)
}

func openStore(host string, port int, serve bool, prefix string, timeout time.Duration) (*Store, error) {
	s := &Store{}
	p, on := C.int(port), C.int(0)
	if serve {
		on = 1
	}
	err := with(func(t []*C.char) *C.char {
		return C.cd_store_open(&s.c, t[0], &p, on, t[1], millis(timeout))
	}, host, prefix)
	if err != nil {
		verb := "connect to"
		if serve {
			verb = "open"
		}
		return nil, fmt.Errorf("%s the store at %s: %w", verb, net.JoinHostPort(host, strconv.Itoa(port)), err)
	}
	s.Port = int(p)
	return s, nil
}

func millis(d time.Duration) C.int { return C.int(max(1, d.Milliseconds())) }

// Set writes a value.
func (s *Store) Set(key, value string) error {
	b := []byte(value)
	return with(func(t []*C.char) *C.char { return C.cd_store_set(s.c, t[0], pointer(b), C.size_t(len(b))) }, key)
}

// SetFirst writes a value unless there is one.
func (s *Store) SetFirst(key, value string) error {
	b := []byte(value)
	return with(func(t []*C.char) *C.char { return C.cd_store_first(s.c, t[0], pointer(b), C.size_t(len(b))) }, key)
}

// Get reads a value without waiting for one; ok says whether there is one.
func (s *Store) Get(key string) (value string, ok bool, err error) {
	var p unsafe.Pointer
	var n C.size_t
	err = with(func(t []*C.char) *C.char { return C.cd_store_get(s.c, t[0], &p, &n) }, key)
	if err != nil || p == nil {
		return "", false, err
	}
	defer C.free(p)
	return string(C.GoBytes(p, C.int(n))), true, nil
}

// Close ends the connection, or the service.
func (s *Store) Close() {
	if s != nil && s.c != nil {
		C.cd_store_close(s.c)
		s.c = nil
	}
}
