package server

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics is what /metrics tells. Its labels are few and fixed: no client can make new ones.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	stage    *prometheus.HistogramVec
	batches  prometheus.Histogram
	captions prometheus.Counter
	failures *prometheus.CounterVec
}

// stageBuckets are in seconds, from a quarter of a millisecond.
var stageBuckets = []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(
			prometheus.CounterOpts{Name: "captioner_requests_total", Help: "Requests, by path, method and status."},
			[]string{"path", "method", "status"},
		),
		seconds: prometheus.NewHistogramVec(
			prometheus.HistogramOpts{Name: "captioner_request_seconds", Help: "Time from a request's header to its answer.",
				Buckets: stageBuckets},
			[]string{"path"},
		),
		stage: prometheus.NewHistogramVec(
			prometheus.HistogramOpts{Name: "captioner_stage_seconds", Help: "Time of an image in each stage.",
				Buckets: stageBuckets},
			[]string{"stage"},
		),
		batches: prometheus.NewHistogram(
			prometheus.HistogramOpts{Name: "captioner_batch_pictures", Help: "Images that went through the model together.",
				Buckets: []float64{1, 2, 4, 8, 12, 16, 24, 32, 64, 128, 256}},
		),
		captions: prometheus.NewCounter(
			prometheus.CounterOpts{Name: "captioner_captions_total", Help: "Captions that were answered."},
		),
		failures: prometheus.NewCounterVec(
			prometheus.CounterOpts{
				Name: "captioner_failures_total",
				Help: "Requests and images that were refused or failed, by reason.",
			},
			[]string{"reason"},
		),
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	m.registry.MustRegister(
		m.requests,
		m.seconds,
		m.stage,
		m.batches,
		m.captions,
		m.failures,
		gauge(
			"captioner_queue_depth",
			"Images that are accepted and not answered.",
			func() float64 { return float64(s.engine.depth()) },
		),
		gauge(
			"captioner_queue_limit",
			"Images that may be accepted and not answered.",
			func() float64 { return float64(s.o.Queue) },
		),
		gauge("captioner_connections", "Open connections.", func() float64 { return float64(s.conns.count()) }),
		gauge(
			"captioner_body_bytes",
			"Bytes of request bodies in memory.",
			func() float64 { return float64(s.budget.inUse()) },
		),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if s.o.LiveTensors != nil {
		m.registry.MustRegister(
			gauge("captioner_live_tensors", "Tensor handles that exist.", func() float64 { return float64(s.o.LiveTensors()) }),
		)
	}
	for kind := range kinds { // so that each is there from the start, as 0
		m.failures.WithLabelValues(kind)
	}
	return m
}

func (b *budget) inUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions}

// request counts a request and returns its method, or "other" for one that nobody has.
func (m *metrics) request(path, method string, status int, took time.Duration) string {
	if !slices.Contains(methods, method) {
		method = "other"
	}
	m.requests.WithLabelValues(path, method, strconv.Itoa(status)).Inc()
	if took > 0 {
		m.seconds.WithLabelValues(path).Observe(took.Seconds())
	}
	return method
}

func (m *metrics) failure(reason string) { m.failures.WithLabelValues(reason).Inc() }

// image is told of each image that has an answer.
func (m *metrics) image(j *job, decode time.Duration) {
	if j.task != taskFeatures {
		m.captions.Inc()
	}
	if decode > 0 {
		m.stage.WithLabelValues("decode").Observe(decode.Seconds())
	}
	m.stage.WithLabelValues("queue").Observe(j.started.Sub(j.queued).Seconds())
}

// batch is told of each batch.
func (m *metrics) batch(jobs []*job, took time.Duration) {
	m.batches.Observe(float64(len(jobs)))
	m.stage.WithLabelValues("model").Observe(took.Seconds())
}
