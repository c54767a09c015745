// Package metrics counts what a service does, for Prometheus. Its labels are few and fixed: no client can make new
// ones.
package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is what /metrics tells.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	stage    *prometheus.HistogramVec
	batches  prometheus.Histogram
	captions prometheus.Counter
	failures *prometheus.CounterVec
}

// Gauge is a figure that is read when somebody asks.
type Gauge struct {
	Name, Help string
	Read       func() float64
}

// stageBuckets are in seconds, from a quarter of a millisecond.
var stageBuckets = []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// batchBuckets are in images.
var batchBuckets = []float64{1, 2, 4, 8, 12, 16, 24, 32, 64, 128, 256}

// New counts from nothing. reasons are all that a failure may have, so that each is there from the start, as 0.
func New(reasons []string, gauges []Gauge) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: counters("captioner_requests_total", "Requests, by path, method and status.", "path", "method", "status"),
		failures: counters("captioner_failures_total", "Requests and images that were refused or failed, by reason.",
			"reason"),
		seconds: times("captioner_request_seconds", "Time from a request's header to its answer.", "path"),
		stage:   times("captioner_stage_seconds", "Time of an image in each stage.", "stage"),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "captioner_batch_pictures", Help: "Images that went through the model together.", Buckets: batchBuckets,
		}),
		captions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "captioner_captions_total", Help: "Captions that were answered.",
		}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.stage, m.batches, m.captions, m.failures,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, g := range gauges {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.Name, Help: g.Help}, g.Read))
	}
	for _, reason := range reasons {
		m.failures.WithLabelValues(reason)
	}
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func times(name, help, label string) *prometheus.HistogramVec {
	o := prometheus.HistogramOpts{Name: name, Help: help, Buckets: stageBuckets}
	return prometheus.NewHistogramVec(o, []string{label})
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions}

// Request counts a request and returns its method, or "other" for one that nobody has.
func (m *Metrics) Request(path, method string, status int, took time.Duration) string {
	if !slices.Contains(methods, method) {
		method = "other"
	}
	m.requests.WithLabelValues(path, method, strconv.Itoa(status)).Inc()
	if took > 0 {
		m.seconds.WithLabelValues(path).Observe(took.Seconds())
	}
	return method
}

// Failure counts a request or an image that was refused or failed.
func (m *Metrics) Failure(reason string) { m.failures.WithLabelValues(reason).Inc() }

// Image counts an image that has an answer, which may be a caption.
func (m *Metrics) Image(caption bool, decoding, waiting time.Duration) {
	if caption {
		m.captions.Inc()
	}
	if decoding > 0 {
		m.stage.WithLabelValues("decode").Observe(decoding.Seconds())
	}
	m.stage.WithLabelValues("queue").Observe(waiting.Seconds())
}

// Batch counts images that went through the model together.
func (m *Metrics) Batch(images int, took time.Duration) {
	m.batches.Observe(float64(images))
	m.stage.WithLabelValues("model").Observe(took.Seconds())
}

// ServeHTTP answers with all figures.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP(w, r)
}
