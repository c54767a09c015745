package input

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

func TestPublicAddresses(t *testing.T) {
	for _, s := range []string{"8.8.8.8", "93.184.216.34", "2606:2800:220:1::", "64:ff9b::808:808"} {
		if !public(netip.MustParseAddr(s)) {
			t.Errorf("%s is refused", s)
		}
	}
	for _, s := range []string{"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
		"0.1.2.3", "100.64.0.1", "198.18.0.1", "224.0.0.1",
		"255.255.255.255", "::", "::1", "fe80::1", "fc00::1",
		"ff02::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "2001:db8::1"} {
		if public(netip.MustParseAddr(s)) {
			t.Errorf("%s is allowed", s)
		}
	}
	if err := publicOnly("tcp", "127.0.0.1:80", nil); err != errPrivate {
		t.Errorf("got %v", err)
	}
}

func TestInterruptEndsAFetch(t *testing.T) {
	f := &Fetcher{Limit: 1, Timeout: time.Hour, Private: true}
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter,
		r *http.Request) {
		close(hang)
		<-r.Context().Done()
	}))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-hang; cancel() }()
	if _, err := f.Get(ctx, s.URL); err == nil {
		t.Error("no error")
	}
}
