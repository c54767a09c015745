// Package listen is where a service meets its machine: addresses and sockets, its certificate, how many are connected,
// files that change, and systemd.
package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"captioner/weights/plural"
)

// Open opens the address that a service listens on:
//
//	HOST:PORT     TCP; port 0 takes any that is free
//	unix:PATH     a socket in the file system, for its owner and group
//	systemd       the socket that systemd passes on (socket activation)
//
// getenv is os.Getenv; systemd tells in variables what it passes on.
func Open(address string, getenv func(string) string) (net.Listener, error) {
	if address == "systemd" {
		return inherited(getenv)
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return listenUnix(path)
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("listen: found %q, want HOST:PORT, unix:PATH or systemd", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", address, cause(err))
	}
	return l, nil
}

// cause takes the address off an error of net, which Listen quotes once.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func listenUnix(path string) (net.Listener, error) {
	if path == "" {
		return nil, fmt.Errorf("listen: found %q without a path", "unix:")
	}
	if err := clearStale(path); err != nil {
		return nil, fmt.Errorf("listen on %q: %w", path, err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", path, cause(err))
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("listen on %q: %w", path, err)
	}
	return l, nil
}

// clearStale removes a socket that nobody listens on any more, and nothing else.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return errors.New("found a file that is no socket, want a free name")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return errors.New("another process listens there")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return cause(err)
	}
	return os.Remove(path)
}

// firstInherited is the number of the first file that systemd passes on.
const firstInherited = 3

// inherited takes over the socket of systemd's socket activation.
func inherited(getenv func(string) string) (net.Listener, error) {
	pid, _ := strconv.Atoi(getenv("LISTEN_PID"))
	n, _ := strconv.Atoi(getenv("LISTEN_FDS"))
	if pid != os.Getpid() || n < 1 {
		return nil, errors.New("listen: systemd passed on no socket (LISTEN_FDS)")
	}
	if n > 1 {
		return nil, fmt.Errorf("listen: systemd passed on %s, want one", plural.Count(n, "socket"))
	}
	syscall.CloseOnExec(firstInherited)
	f := os.NewFile(firstInherited, "systemd")
	defer f.Close() // the listener has a copy
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listen on the socket of systemd: %w", cause(err))
	}
	return l, nil
}

// Public says whether others than this machine can reach a listener.
func Public(l net.Listener) bool {
	if l.Addr().Network() == "unix" {
		return false
	}
	a, err := netip.ParseAddrPort(l.Addr().String())
	return err != nil || !a.Addr().Unmap().IsLoopback()
}

// Notify tells systemd how the service is ("READY=1", "STOPPING=1"), where it asked to be told.
func Notify(getenv func(string) string, state string) error {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify systemd: %w", cause(err))
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify systemd: %w", cause(err))
	}
	return nil
}
