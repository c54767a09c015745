package edit

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"captioner/cli/server/problem"
)

// Local refuses a request that the page of another site may have made a browser send: one that names the service by
// another host than this machine, as a site does whose name leads to 127.0.0.1, and one from another origin.
func Local(r *http.Request) error {
	if !loopback(r.Host) {
		return refuse("found the host %.100q, want localhost or 127.0.0.1", r.Host)
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return refuse("the request comes from the page of another site")
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	if origin := r.Header.Get("Origin"); origin != "" && !strings.EqualFold(origin, scheme+r.Host) {
		return refuse("the request comes from the page of %.100q", origin)
	}
	return nil
}

func refuse(format string, args ...any) error {
	p := problem.New("cross-origin", format, args...)
	p.Remedy = "open the page by the address that the service has printed"
	return p
}

// loopback says whether the host of a URL is this machine, by its usual name or its address.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.Unmap().IsLoopback()
}
