package listen

import (
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
)

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
