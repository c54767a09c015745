package server

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"captioner/cli/server/problem"
)

// budget is how many bytes of bodies may be in memory at one time.
type budget struct {
	mu         sync.Mutex
	used, most int64
}

func (b *budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.most {
		return false
	}
	b.used += n
	return true
}

func (b *budget) inUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	b.used -= n
	b.mu.Unlock()
}

var (
	errBody   = errors.New("the body is too large")
	errMemory = errors.New("too many bytes are in memory")
)

// body reads a request's body within its limits. What it read counts against the budget until release.
type body struct {
	r      io.Reader
	left   int64 // bytes that may still come
	budget *budget
	held   int64
	spare  int64 // of held, bytes that are not used yet
}

const bodyStep = 64 << 10 // the budget is asked in steps of this many bytes

// openBody limits r's body and gives it a time to arrive.
func openBody(w http.ResponseWriter, r *http.Request, limit int64, b *budget, within time.Duration) (*body, error) {
	if r.ContentLength > limit {
		return nil, problem.New("too-large", "found a body of %d bytes, want at most %d", r.ContentLength, limit)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(within)) // a test's writer has no deadlines
	return &body{r: r.Body, left: limit, budget: b}, nil
}

func (b *body) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	if b.spare == 0 {
		if !b.charge(bodyStep) {
			return 0, errMemory
		}
		b.spare = bodyStep
	}
	if int64(len(p)) > b.spare {
		p = p[:b.spare]
	}
	n, err := b.r.Read(p)
	b.spare -= int64(n)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, errBody
	}
	return n, err
}

// charge takes n bytes more of the budget, for what is made of the body.
func (b *body) charge(n int64) bool {
	if !b.budget.take(n) {
		return false
	}
	b.held += n
	return true
}

// uncharge gives n bytes of what charge took back.
func (b *body) uncharge(n int64) {
	b.budget.give(n)
	b.held -= n
}

func (b *body) release() {
	b.budget.give(b.held)
	b.held, b.spare = 0, 0
}

// all reads the body to its end. size is its announced length, or -1; it is a hint and allocates one step at most.
func (b *body) all(size int64) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(int(min(max(size, 0), bodyStep) + bytes.MinRead))
	_, err := buf.ReadFrom(b)
	return buf.Bytes(), err
}

// bodyProblem says what went wrong while a body was read.
func bodyProblem(err error, limit int64) error {
	var p *problem.Problem
	var slow net.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, errBody):
		return problem.New("too-large", "found a body of more than %d bytes, want at most that", limit)
	case errors.Is(err, errMemory):
		p := problem.New("queue-full", "too many bytes of other requests are in memory")
		p.RetryAfter = 1
		return p
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return problem.New("slow-body", "the body did not arrive in time")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return problem.New("truncated-body", "the body ends before its announced or written end")
	}
	return problem.New("bad-request", "the body cannot be read")
}
