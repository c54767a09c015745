package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"captioner/cli/server/listen"
)

// post is how a request with an image begins, and flood one line of a header that has no end.
const post = "POST /v1/captions HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"

var flood = "X-Flood: " + strings.Repeat("a", 1000) + "\r\n"

func crcOf(b []byte) []byte { return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)) }

// running is a service on a real port.
type running struct {
	*Server
	url    string
	stop   context.CancelFunc
	served chan error
	client *http.Client
}

func serving(t *testing.T, f *fake, change func(*Options)) *running {
	t.Helper()
	if f.name == "" {
		f.name = "fake"
	}
	o := DefaultOptions()
	o.Workers = 2
	if change != nil {
		change(&o)
	}
	s, err := New(f, o, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen.Open("127.0.0.1:0", os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{
		Server: s,
		url:    "http://" + l.Addr().String(),
		stop:   stop,
		served: make(chan error, 1),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}},
	}
	go func() { r.served <- s.Serve(ctx, l, nil) }()
	t.Cleanup(func() { r.client.CloseIdleConnections() })
	return r
}

// end stops the service and gives what Serve returned.
func (r *running) end() error {
	r.stop()
	return <-r.served
}

func (r *running) caption(red byte) (int, string, error) {
	resp, err := r.client.Post(r.url+"/v1/captions", "image/png", bytes.NewReader(imagePNG(red, 0)))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// What was accepted is answered; what comes later is refused; then the model is closed.
func TestDrain(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	r := serving(t, f, nil)
	type answer struct {
		code int
		err  error
	}
	answers := make(chan answer, 5)
	for red := range byte(5) {
		go func() {
			code, _, err := r.caption(red)
			answers <- answer{code, err}
		}()
	}
	until(t, func() bool { return r.engine.depth() == 5 })
	r.stop()
	until(t, func() bool { return r.draining.Load() && r.engine.room(1, time.Minute) != nil })
	w := ask(r.Server, "POST", "/v1/captions", strings.NewReader("x"), "Content-Type: image/png")
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("while draining: got %d, want 503 with Retry-After", w.Code)
	}
	if w := ask(r.Server, "GET", "/readyz", nil); w.Code != 503 {
		t.Errorf("/readyz while draining: got %d, want 503", w.Code)
	}
	close(f.hold)
	for range 5 {
		if a := <-answers; a.code != 200 || a.err != nil {
			t.Errorf("an accepted request got %d, %v; want 200", a.code, a.err)
		}
	}
	if err := <-r.served; err != nil {
		t.Errorf("Serve: got %v, want nil", err)
	}
	if f.closed != 1 {
		t.Errorf("the model was closed %d times, want once", f.closed)
	}
}

func TestDrainEnds(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	r := serving(t, f, func(o *Options) { o.Drain = 50 * time.Millisecond })
	go r.caption(1)
	until(t, func() bool { return r.engine.depth() == 1 })
	if err := r.end(); !errors.Is(err, ErrDrain) {
		t.Errorf("got %v, want ErrDrain", err)
	}
}

// Models come and go under load, and no request fails.
func TestSwapFailsNoRequest(t *testing.T) {
	first := &fake{name: "m0"}
	r := serving(t, first, nil)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var done atomic.Int64
	for c := range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				code, text, err := r.caption(byte(c))
				if err != nil || code != 200 || !strings.Contains(text, fmt.Sprintf("sees %d 0", c)) {
					t.Errorf("got %d %s %v", code, text, err)
					return
				}
				done.Add(1)
			}
		})
	}
	models := []*fake{first}
	for i := range 20 {
		n := done.Load()
		until(t, func() bool { return done.Load() > n })
		m := &fake{name: fmt.Sprintf("m%d", i+1)}
		models = append(models, m)
		r.Swap(m)
	}
	close(stop)
	clients.Wait()
	if err := r.end(); err != nil {
		t.Error(err)
	}
	for i, m := range models {
		if m.closed != 1 {
			t.Errorf("model %d was closed %d times, want once", i, m.closed)
		}
	}
}

// Clients that keep silent lose their place to one that speaks.
func TestSilentConnectionsDoNotStopAClient(t *testing.T) {
	r := serving(t, &fake{}, func(o *Options) {
		o.MaxConnections, o.HeaderTimeout, o.BodyTimeout = 20, time.Minute, time.Minute
	})
	var slow []net.Conn
	for i := range 100 {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
		switch i % 4 { // half-open, half a header, half a body, a finished request
		case 1:
			io.WriteString(c, "POST /v1/captions HTTP/1.1\r\nHo")
		case 2:
			io.WriteString(c, post+"Content-Length: 100\r\n\r\nabc")
		case 3:
			io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		}
	}
	until(t, func() bool { return r.conns.Count() <= 20 })
	if code, text, err := r.caption(3); code != 200 || err != nil {
		t.Errorf("got %d %s %v, want 200", code, text, err)
	}
	for _, c := range slow {
		c.Close()
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// A connection whose request has arrived is never closed for others.
func TestBusyConnectionsStay(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	r := serving(t, f, func(o *Options) { o.MaxConnections = 10 })
	answer := make(chan int, 1)
	go func() {
		code, _, _ := r.caption(1)
		answer <- code
	}()
	until(t, func() bool { return r.engine.depth() == 1 })
	var silent []net.Conn
	for range 40 {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	close(f.hold)
	if code := <-answer; code != 200 {
		t.Errorf("got %d, want 200", code)
	}
	for _, c := range silent { // else the service would wait five seconds for them to speak
		c.Close()
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

func TestSlowAndFlooding(t *testing.T) {
	r := serving(t, &fake{}, func(o *Options) {
		o.HeaderTimeout, o.BodyTimeout = 100*time.Millisecond, 100*time.Millisecond
	})
	for name, c := range map[string]struct{ send, want string }{
		"slow header":  {"POST /v1/captions HTTP/1.1\r\nHo", "400"},
		"slow body":    {post + "Content-Length: 100\r\n\r\nabc", "408"},
		"header flood": {"GET /healthz HTTP/1.1\r\nHost: x\r\n" + strings.Repeat(flood, 100) + "\r\n", "431"},
		"no HTTP":      {"hello\r\n\r\n", "400"},
		"wrong length": {post + "Content-Length: -1\r\n\r\n", "400"},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		go io.WriteString(conn, c.send)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if !strings.Contains(line, c.want) {
			t.Errorf("%s: got %q, %v; want %q", name, line, err, c.want)
		}
		conn.Close()
	}
	until(t, func() bool { return r.budget.inUse() == 0 })
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// A wait for the model that is longer than the time for the body is no reason to hang up.
func TestTheBodysTimeEndsWithTheBody(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	r := serving(t, f, func(o *Options) { o.BodyTimeout = 50 * time.Millisecond })
	time.AfterFunc(200*time.Millisecond, func() { close(f.hold) })
	if code, text, err := r.caption(1); code != 200 {
		t.Errorf("got %d %s %v, want 200", code, text, err)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	c := &listen.Certificate{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	if err := c.Load(); err == nil {
		t.Fatal("files that are not there: no error")
	}
	writeCertificate(t, c, 1)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	s, err := New(&fake{name: "fake"}, DefaultOptions(), quietLog())
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen.Open("127.0.0.1:0", os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l, c.Config()) }()
	serial := func() string {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
		defer tr.CloseIdleConnections()
		url := "https://" + l.Addr().String() + "/v1/captions"
		resp, err := (&http.Client{Transport: tr}).Post(url, "image/png", bytes.NewReader(imagePNG(1, 0)))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != 200 || resp.ProtoMajor != 2 || resp.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("got %d over %s, want 200 over HTTP/2", resp.StatusCode, resp.Proto)
		}
		return resp.TLS.PeerCertificates[0].SerialNumber.String()
	}
	if got := serial(); got != "1" {
		t.Errorf("certificate %s, want 1", got)
	}
	writeCertificate(t, c, 2)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(c.Key, []byte("broken"), 0o600)
	if err := c.Load(); err == nil {
		t.Error("a broken key: no error")
	}
	if got := serial(); got != "2" {
		t.Errorf("certificate %s, want 2: a broken one must not replace it", got)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func writeCertificate(t *testing.T, c *listen.Certificate, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		c.Cert: {Type: "CERTIFICATE", Bytes: cert},
		c.Key:  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
