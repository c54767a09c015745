// Command serve puts load on a caption service over HTTP from a process of its own. It prints what it saw as one JSON
// object.
//
// Each client sends its next image when it is answered:
//
//	go run ./scripts/bench/serve -url http://127.0.0.1:8080 -pictures FOLDER -clients 64 -for 20s
//
// Images come at a fixed rate, whatever the answers do:
//
//	go run ./scripts/bench/serve -url … -pictures FOLDER -rate 30 -for 20s
//
// Slow and half-open connections stand beside one client:
//
//	go run ./scripts/bench/serve -url … -pictures FOLDER -hold 10000 -for 20s
//
// With -rate, a time counts from when an image was due, so that a service that falls behind is not let off. The program
// uses the standard library alone.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

type options struct {
	url, pictures string
	clients, hold int
	rate          float64
	duration      time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.url, "url", "http://127.0.0.1:8080", "the service")
	flag.StringVar(&o.pictures, "pictures", "examples", "folder of JPEG files, which are sent in turn")
	flag.IntVar(&o.clients, "clients", 1, "that send the next picture when the one before is answered")
	flag.Float64Var(&o.rate, "rate", 0, "pictures a second instead, whatever the answers do")
	flag.IntVar(&o.hold, "hold", 0, "connections that send a byte a second, or nothing, beside the clients")
	flag.DurationVar(&o.duration, "for", 10*time.Second, "how long")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "serve bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	transport := &http.Transport{MaxIdleConnsPerHost: 4096, MaxConnsPerHost: 0}
	l := &load{o: o, client: &http.Client{Timeout: 2 * time.Minute, Transport: transport}}
	files, err := filepath.Glob(filepath.Join(o.pictures, "*.jpg"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("found no JPEG file in %q", o.pictures)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		l.pictures = append(l.pictures, b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.duration)
	defer cancel()
	var held sync.WaitGroup
	open := 0
	if o.hold > 0 {
		if open, err = l.holdOpen(ctx, &held); err != nil {
			return err
		}
	}
	start := time.Now()
	if o.rate > 0 {
		l.open(ctx)
	} else {
		l.closed(ctx)
	}
	took := time.Since(start)
	cancel()
	held.Wait()
	return json.NewEncoder(os.Stdout).Encode(l.summary(took, open))
}

// load is what is sent, and what came of it.
type load struct {
	o        options
	client   *http.Client
	pictures [][]byte

	mu      sync.Mutex
	next    int
	answers map[int][]answer // by status; 0: no answer
	errs    map[string]int
}

type answer struct{ took, model time.Duration }

func (l *load) picture() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.pictures[(l.next-1)%len(l.pictures)]
}

// closed runs clients that wait for their answers.
func (l *load) closed(ctx context.Context) {
	var all sync.WaitGroup
	for range l.o.clients {
		all.Go(func() {
			for ctx.Err() == nil {
				if l.send(time.Now()) == http.StatusTooManyRequests {
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
	all.Wait()
}

// open sends at even distances.
func (l *load) open(ctx context.Context) {
	var all sync.WaitGroup
	start := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		due := start.Add(time.Duration(float64(i) / l.o.rate * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			all.Wait()
			return
		}
		all.Go(func() { l.send(due) })
	}
	all.Wait()
}

// send sends one image that was due then, and notes the answer.
func (l *load) send(due time.Time) int {
	status, a, err := l.post(due)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.answers == nil {
		l.answers, l.errs = map[int][]answer{}, map[string]int{}
	}
	l.answers[status] = append(l.answers[status], a)
	if err != nil {
		l.errs[cause(err)]++
	}
	return status
}

func cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

func (l *load) post(due time.Time) (int, answer, error) {
	r, err := l.client.Post(l.o.url+"/v1/captions", "image/jpeg", bytes.NewReader(l.picture()))
	if err != nil {
		return 0, answer{took: time.Since(due)}, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	a := answer{took: time.Since(due)}
	if err != nil {
		return 0, a, err
	}
	var v struct {
		Caption      string
		Milliseconds struct{ Model float64 }
	}
	if r.StatusCode == http.StatusOK {
		if err := json.Unmarshal(b, &v); err != nil || v.Caption == "" {
			return 0, a, fmt.Errorf("an answer without a caption: %.60q", b)
		}
		a.model = time.Duration(v.Milliseconds.Model * float64(time.Millisecond))
	}
	return r.StatusCode, a, nil
}

// holdOpen connects many times: a third says nothing, a third sends a header a byte a second, a third a body. Each
// connects again when it is thrown out. holdOpen returns how many connections there were at once.
func (l *load) holdOpen(ctx context.Context, all *sync.WaitGroup) (int, error) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err == nil && int(lim.Cur) < l.o.hold+200 {
		return 0, fmt.Errorf("%d files may be open, want %d: ulimit -n", lim.Cur, l.o.hold+200)
	}
	address := strings.TrimPrefix(l.o.url, "http://")
	connected := make(chan struct{}, l.o.hold)
	for i := range l.o.hold {
		all.Go(func() {
			for first := true; ctx.Err() == nil; first = false {
				l.holdOne(ctx, address, i%3, first, connected)
			}
		})
		if i%100 == 99 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	n := 0
	for late := time.After(l.o.duration / 2); n < l.o.hold; n++ {
		select {
		case <-connected:
		case <-late:
			return n, nil
		}
	}
	return n, nil
}

func (l *load) holdOne(ctx context.Context, address string, kind int, first bool, connected chan<- struct{}) {
	pause := func(d time.Duration) bool {
		select {
		case <-time.After(d):
			return true
		case <-ctx.Done():
			return false
		}
	}
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		pause(time.Second)
		return
	}
	defer c.Close()
	if first {
		connected <- struct{}{}
	}
	const request = "POST /v1/captions HTTP/1.1\r\nHost: x\r\n"
	text := map[int]string{
		1: request + "X-Slow: " + strings.Repeat("a", 1000),
		2: request + "Content-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("b", 1000),
	}[kind]
	if kind == 2 {
		head := strings.Index(text, "bbb")
		if _, err := io.WriteString(c, text[:head]); err != nil {
			return
		}
		text = text[head:]
	}
	one := make([]byte, 1)
	for i := 0; ; i++ {
		if kind > 0 {
			if _, err := c.Write([]byte{text[i%len(text)]}); err != nil {
				break
			}
		} else if c.SetReadDeadline(time.Now().Add(time.Second)); i > 0 {
			if _, err := c.Read(one); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			continue
		}
		if !pause(time.Second) {
			return
		}
	}
	pause(time.Second) // thrown out: come back, as a stubborn client does
}

// summary is what is printed. Times are in milliseconds.
type summary struct {
	Seconds   float64        `json:"seconds"`
	Answered  int            `json:"answered"`
	PerSecond float64        `json:"per_second"`
	Times     quantiles      `json:"ms"`
	Over      quantiles      `json:"ms_over_model"` // what the service itself says of the model's time taken off
	Refused   quantiles      `json:"ms_429"`
	Status    map[int]int    `json:"status"`
	Errors    map[string]int `json:"errors,omitempty"`
	Held      int            `json:"held,omitempty"`
}

type quantiles struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func (l *load) summary(took time.Duration, held int) summary {
	good := l.answers[http.StatusOK]
	s := summary{
		Seconds:   took.Seconds(),
		Answered:  len(good),
		PerSecond: float64(len(good)) / took.Seconds(),
		Errors:    l.errs,
		Held:      held,
		Status:    map[int]int{},
	}
	for status, list := range l.answers {
		s.Status[status] = len(list)
	}
	s.Times = quantilesOf(good, func(a answer) time.Duration { return a.took })
	s.Over = quantilesOf(good, func(a answer) time.Duration { return a.took - a.model })
	s.Refused = quantilesOf(l.answers[http.StatusTooManyRequests], func(a answer) time.Duration { return a.took })
	return s
}

func quantilesOf(list []answer, of func(answer) time.Duration) quantiles {
	if len(list) == 0 {
		return quantiles{}
	}
	var x []float64
	for _, a := range list {
		x = append(x, float64(of(a).Microseconds())/1000)
	}
	slices.Sort(x)
	at := func(q float64) float64 { return x[min(int(q*float64(len(x))), len(x)-1)] }
	return quantiles{at(.5), at(.9), at(.99), x[len(x)-1]}
}
