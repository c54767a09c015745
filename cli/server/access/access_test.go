package access

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseTokens(t *testing.T) {
	if _, err := ParseTokens([]byte("# none\n\n")); err == nil {
		t.Error("a file without tokens: no error")
	}
	if _, err := ParseTokens([]byte("short\n")); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a short token: got %v, want an error that does not tell it", err)
	}
	if got, err := ParseTokens([]byte("# mine\n 0123456789abcdef \r\n")); err != nil ||
		!slices.Equal(got, []string{"0123456789abcdef"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRates(t *testing.T) {
	r := NewRates(2, 1)
	now := time.Now()
	for i, c := range []struct {
		at   time.Duration
		wait bool
	}{{0, false}, {0, true}, {400 * time.Millisecond, true}, {600 * time.Millisecond, false}} {
		if got := r.Wait("a", now.Add(c.at)); (got > 0) != c.wait {
			t.Errorf("request %d at %v: wait %v", i, c.at, got)
		}
	}
	if r.Wait("b", now) > 0 {
		t.Error("another client has to wait")
	}
	for i := range 3 * maxBuckets {
		r.Wait(fmt.Sprint(i), now)
	}
	if len(r.buckets) > maxBuckets {
		t.Errorf("%d clients are remembered, want at most %d", len(r.buckets), maxBuckets)
	}
	for in, want := range map[string]string{
		"10.0.0.1:5": "10.0.0.1", "[2001:db8::1]:5": "2001:db8::/64", "[2001:db8::ffff:2]:9": "2001:db8::/64", "@": "@",
	} {
		if got := address(in); got != want {
			t.Errorf("address %q: got %q, want %q", in, got, want)
		}
	}
}
