package listen

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Open("unix:"+path, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if Public(l) {
		t.Error("a unix socket is public")
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, want 0660", info.Mode().Perm())
	}
	if _, err := Open("unix:"+path, os.Getenv); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a socket in use: got %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	l, err = Open("unix:"+path, os.Getenv)
	if err != nil {
		t.Fatalf("a socket that was left over: %v", err)
	}
	l.Close()
	os.WriteFile(path, nil, 0o600)
	for _, bad := range []string{"unix:" + path, "unix:", "8080", "systemd", "256.0.0.1:1"} {
		if l, err := Open(bad, func(string) string { return "" }); err == nil {
			t.Errorf("%q: no error", bad)
			l.Close()
		}
	}
	for address, want := range map[string]bool{"127.0.0.1:0": false, "0.0.0.0:0": true} {
		l, err := Open(address, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		if got := Public(l); got != want {
			t.Errorf("%s is public: got %t, want %t", address, got, want)
		}
		l.Close()
	}
}

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := Notify(func(string) string { return path }, "READY=1"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, _ := c.Read(b); string(b[:n]) != "READY=1" {
		t.Errorf("got %q", b[:n])
	}
	if err := Notify(func(string) string { return "" }, "READY=1"); err != nil {
		t.Errorf("without systemd: %v", err)
	}
}

func TestWatchWaitsUntilAFileIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	os.WriteFile(path, []byte("one"), 0o600)
	changed := make(chan struct{}, 10)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- Watch(ctx, path, 20*time.Millisecond, func() { changed <- struct{}{} }) }()
	time.Sleep(50 * time.Millisecond)
	os.WriteFile(path+".new", []byte("two!"), 0o600)
	os.Rename(path+".new", path)
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Error("a renamed file was not noticed")
	}
	os.Remove(path)
	time.Sleep(60 * time.Millisecond)
	if len(changed) > 0 {
		t.Error("a file that is gone was taken for a change")
	}
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
}

func TestWatchNoticesAFileInAFolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.safetensors")
	os.WriteFile(path, []byte("one"), 0o600)
	changed := make(chan struct{}, 10)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- Watch(ctx, dir, 20*time.Millisecond, func() { changed <- struct{}{} }) }()
	time.Sleep(50 * time.Millisecond)
	os.WriteFile(path, []byte("three"), 0o600)
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Error("a file that was written over in its folder was not noticed")
	}
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
}
