// Package access says who may use a service, and how often: tokens, and rates of requests.
package access

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"captioner/weights/plural"
)

// Keyring holds the tokens that open the API, as checksums. An unset one opens it to everybody.
type Keyring struct {
	sums atomic.Pointer[[][sha256.Size]byte]
}

// minToken is the shortest token: shorter ones can be guessed.
const minToken = 16

// ParseTokens reads tokens: one a line; empty lines and those that begin with # are left out.
func ParseTokens(b []byte) ([]string, error) {
	var tokens []string
	for s, line := bufio.NewScanner(bytes.NewReader(b)), 1; s.Scan(); line++ {
		t := strings.TrimSpace(s.Text())
		switch {
		case t == "" || t[0] == '#':
			continue
		case len(t) < minToken:
			return nil, fmt.Errorf("read tokens: line %d: found %s, want at least %d", line, plural.Count(len(t), "character"),
				minToken)
		case strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r >= utf8.RuneSelf }):
			return nil, fmt.Errorf("read tokens: line %d: found a space or a character beyond ASCII, want neither", line)
		}
		tokens = append(tokens, t)
	}
	if len(tokens) == 0 {
		return nil, fmt.Errorf("read tokens: found none, want one a line")
	}
	return tokens, nil
}

// Set makes these the only tokens; none opens the API to everybody.
func (k *Keyring) Set(tokens []string) {
	if len(tokens) == 0 {
		k.sums.Store(nil)
		return
	}
	sums := make([][sha256.Size]byte, 0, len(tokens))
	for _, t := range tokens {
		sums = append(sums, sha256.Sum256([]byte(t)))
	}
	k.sums.Store(&sums)
}

// Why a client may not use the API.
var (
	ErrNoToken    = errors.New("found no bearer token")
	ErrWrongToken = errors.New("the token is not valid")
)

// Check says who a client is, for its rate: its token or its address. The error is ErrNoToken or ErrWrongToken. The
// time that it takes says nothing about the tokens.
func (k *Keyring) Check(r *http.Request) (string, error) {
	sums := k.sums.Load()
	if sums == nil {
		return address(r.RemoteAddr), nil
	}
	header := r.Header.Get("Authorization")
	scheme, token, _ := strings.Cut(header, " ")
	if header == "" || !strings.EqualFold(scheme, "bearer") {
		return "", ErrNoToken
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	match := 0
	for _, want := range *sums {
		match |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	if match == 0 {
		return "", ErrWrongToken
	}
	return string(sum[:]), nil
}

// address is the part of a client's address that stands for one person: all of IPv4, the first 64 bits of IPv6.
func address(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Unmap().Is4() {
		return host
	}
	p, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return p.String()
}
