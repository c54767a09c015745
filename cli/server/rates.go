package server

import (
	"sync"
	"time"
)

// rates limits how many requests a client sends: a bucket a client, filled by a steady flow up to a burst.
type rates struct {
	rate, burst float64 // rate 0 limits nobody

	mu      sync.Mutex
	buckets map[string]*bucket
	swept   time.Time
}

type bucket struct {
	level float64
	at    time.Time
}

// maxBuckets bounds the clients that are remembered. Above it the fullest, who sent least lately, are forgotten: they
// lose nothing by it.
const maxBuckets = 10_000

func newRates(rate float64, burst int) *rates {
	return &rates{rate: rate, burst: float64(burst), buckets: make(map[string]*bucket)}
}

// wait counts a request, or says how long the client has to wait before it sends one.
func (r *rates) wait(who string, now time.Time) time.Duration {
	if r.rate == 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(now)
	b := r.buckets[who]
	if b == nil {
		b = &bucket{r.burst, now}
		r.buckets[who] = b
	}
	b.level = r.levelAt(b, now)
	b.at = now
	if b.level < 1 {
		return time.Duration((1 - b.level) / r.rate * float64(time.Second))
	}
	b.level--
	return 0
}

func (r *rates) levelAt(b *bucket, now time.Time) float64 {
	return min(r.burst, b.level+now.Sub(b.at).Seconds()*r.rate)
}

// sweep forgets full buckets now and then, and, where there are too many all the same, any of them.
func (r *rates) sweep(now time.Time) {
	if age := now.Sub(r.swept); age >= time.Minute || age >= time.Second && len(r.buckets) >= maxBuckets {
		r.swept = now
		for who, b := range r.buckets {
			if r.levelAt(b, now) >= r.burst {
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
