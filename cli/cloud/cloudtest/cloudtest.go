// Package cloudtest is a service of S3 for tests, with faults: refused and slow requests, answers that are cut off, and
// keys that nobody may read. It is github.com/johannesboyne/gofakes3 behind a handler that breaks things.
package cloudtest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Fault is what happens to requests.
type Fault struct {
	Method string // of the requests; "" for all
	Key    string // that the path ends with, or contains where it ends with "*"; "" for all
	Times  int    // how many; 0 for all

	Status int           // answered in place of the object, with the code
	Code   string        // "SlowDown"
	Cut    int           // bytes after which the connection breaks
	Wait   time.Duration // before the answer
}

// Server is the service. Environment says how to reach it.
type Server struct {
	*httptest.Server
	backend gofakes3.Backend

	mu       sync.Mutex
	faults   []*Fault
	requests []string // "GET /bucket/key"
}

// New starts a service with these buckets.
func New(buckets ...string) *Server {
	s := &Server{backend: s3mem.New()}
	for _, b := range buckets {
		s.backend.CreateBucket(b)
	}
	fake := gofakes3.New(s.backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serve(fake, w, r)
	}))
	return s
}

// Environment are the variables that lead to the service.
func (s *Server) Environment() map[string]string {
	return map[string]string{"AWS_ENDPOINT_URL": s.URL, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none"}
}

// Put makes an object.
func (s *Server) Put(bucket, key string, b []byte) error {
	_, err := s.backend.PutObject(bucket, key, map[string]string{}, bytes.NewReader(b), int64(len(b)), nil)
	return err
}

// Get is the content of an object.
func (s *Server) Get(bucket, key string) ([]byte, error) {
	o, err := s.backend.GetObject(bucket, key, nil)
	if err != nil {
		return nil, err
	}
	defer o.Contents.Close()
	return io.ReadAll(o.Contents)
}

// Keys are those of all objects of a bucket.
func (s *Server) Keys(bucket string) (keys []string, err error) {
	list, err := s.backend.ListBucket(bucket, &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
	if err != nil {
		return nil, err
	}
	for _, o := range list.Contents {
		keys = append(keys, o.Key)
	}
	return keys, nil
}

// Break adds a fault.
func (s *Server) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Mend takes all faults away.
func (s *Server) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Requests are those that were asked so far, "GET /bucket/key".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// fault is that of a request; nil for none.
func (s *Server) fault(r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	for i, f := range s.faults {
		if f.Method != "" && f.Method != r.Method || !strings.HasSuffix(r.URL.Path, f.Key) {
			continue
		}
		if f.Times == 1 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		} else if f.Times > 1 {
			f.Times--
		}
		return f
	}
	return nil
}

func (s *Server) serve(fake http.Handler, w http.ResponseWriter, r *http.Request) {
	f := s.fault(r)
	if f == nil {
		fake.ServeHTTP(w, r)
		return
	}
	select {
	case <-time.After(f.Wait):
	case <-r.Context().Done():
		return
	}
	switch {
	case f.Status != 0:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(f.Status)
		io.WriteString(w, "<Error><Code>"+f.Code+"</Code><Message>as the test wants</Message></Error>")
	case f.Cut > 0:
		fake.ServeHTTP(&cutter{ResponseWriter: w, left: f.Cut}, r)
	default:
		fake.ServeHTTP(w, r)
	}
}

// cutter breaks the connection within an answer.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.ResponseWriter.Write(b[:n])
	if c.left -= n; c.left > 0 {
		return n, nil
	}
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}
