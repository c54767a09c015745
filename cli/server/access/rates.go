package access

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rates limits how many requests a client sends: a bucket a client, filled by a steady flow up to a burst.
type Rates struct {
	limit rate.Limit // requests a second; 0 limits nobody
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
	swept   time.Time
}

// maxBuckets bounds the clients that are remembered. Above it the fullest, who sent least lately, are forgotten: they
// lose nothing by it.
const maxBuckets = 10_000

// NewRates allows so many requests a second, and so many at once; a limit of 0 allows any number.
func NewRates(limit float64, burst int) *Rates {
	return &Rates{limit: rate.Limit(limit), burst: burst, buckets: make(map[string]*rate.Limiter)}
}

// Wait counts a request, or says how long the client has to wait before it sends one.
func (r *Rates) Wait(who string, now time.Time) time.Duration {
	if r.limit == 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(now)
	b := r.buckets[who]
	if b == nil {
		b = rate.NewLimiter(r.limit, r.burst)
		r.buckets[who] = b
	}
	turn := b.ReserveN(now, 1)
	delay := turn.DelayFrom(now)
	if delay > 0 {
		turn.CancelAt(now) // a refused request costs nothing
	}
	return delay
}

// sweep forgets full buckets now and then, and, where there are too many all the same, any of them.
func (r *Rates) sweep(now time.Time) {
	if age := now.Sub(r.swept); age >= time.Minute || age >= time.Second && len(r.buckets) >= maxBuckets {
		r.swept = now
		for who, b := range r.buckets {
			if b.TokensAt(now) >= float64(r.burst) {
				delete(r.buckets, who)
			}
		}
	}
	for who := range r.buckets {
		if len(r.buckets) < maxBuckets {
			return
		}
		delete(r.buckets, who)
	}
}
