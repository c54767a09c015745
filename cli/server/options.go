package server

import (
	"context"
	"errors"
	"runtime"
	"time"

	"captioner/cli/server/edit"
	"captioner/weights/mistakes"
)

// Options say what a service allows. Start from DefaultOptions: zero is a real value in some fields.
type Options struct {
	MaxBatch int           // images that go through the model together
	MaxWait  time.Duration // that a batch waits for images that are still being decoded
	Queue    int           // images accepted and not answered; more get 429, as what takes over a third of Timeout
	Workers  int           // images that are decoded at the same time

	MaxBody        int64 // bytes of a request
	MaxMemory      int64 // bytes of all bodies that are held at one time
	MaxPixels      int64 // of an image; Workers of them are in memory at one time, three bytes each
	MaxImages      int   // images of a request
	MaxConnections int   // where there are more, the one that has been silent for the longest is closed

	Timeout       time.Duration // for a request, from its header to its answer
	HeaderTimeout time.Duration // for the header to arrive
	BodyTimeout   time.Duration // for the body to arrive
	IdleTimeout   time.Duration // between two requests of a connection
	Drain         time.Duration // for what was accepted to be answered when the service stops

	MaxBeam     int // beam size and captions of an image that a client may ask for
	MaxLen      int // tokens of a caption that a client may ask for; the model's own limit applies too
	Rate        float64
	Burst       int      // requests that a client may send at once, where Rate is not 0
	CORSOrigins []string // sites whose pages may use the API; none by default
	Version     any      // what /version answers, as JSON
	Release     string   // the version in a word, for Ollama's clients
	LiveTensors func() int64

	// Fetch gets an image of at most MaxBody bytes from an http or https URL, for OpenAI's image_url. It must not reach
	// machines that clients should not. With nil such URLs are refused.
	Fetch func(ctx context.Context, url string) ([]byte, error)

	// Edit is a folder that a page may edit, for who sits at this machine: then the service must listen on no other
	// address than a loopback one. The caller closes it. With nil there is no such page.
	Edit *edit.Folder
}

// DefaultOptions suit one machine that captions for a team.
func DefaultOptions() Options {
	return Options{
		MaxBatch: 16, MaxWait: 5 * time.Millisecond, Queue: 256, Workers: runtime.NumCPU(),
		MaxBody: 32 << 20, MaxMemory: 512 << 20, MaxPixels: 50_000_000, MaxImages: 64, MaxConnections: 2048,
		Timeout: 30 * time.Second, HeaderTimeout: 5 * time.Second, BodyTimeout: 20 * time.Second,
		IdleTimeout: time.Minute, Drain: 30 * time.Second,
		MaxBeam: 16, MaxLen: 64, Burst: 20, Version: struct{}{},
	}
}

// Validate reports everything that is wrong, in one error.
func (o Options) Validate() error {
	var wrong mistakes.List
	wrong.Check(o.MaxBatch >= 1 && o.MaxBatch <= 4096, "max batch %d, want 1 to 4096", o.MaxBatch)
	wrong.Check(o.MaxWait >= 0 && o.MaxWait <= time.Second, "max wait %v, want 0 to 1s", o.MaxWait)
	wrong.Check(o.Queue >= 1 && o.Queue <= 1<<20, "queue %d, want 1 to %d", o.Queue, 1<<20)
	wrong.Check(o.Workers >= 1 && o.Workers <= 1024, "workers %d, want 1 to 1024", o.Workers)
	wrong.Check(o.MaxBody >= 1<<10, "max body %d bytes, want 1024 or more", o.MaxBody)
	wrong.Check(o.MaxMemory >= o.MaxBody, "max memory %d bytes, want at least the max body %d", o.MaxMemory, o.MaxBody)
	wrong.Check(o.MaxPixels >= 1, "max pixels %d, want 1 or more", o.MaxPixels)
	wrong.Check(o.MaxImages >= 1 && o.MaxImages <= o.Queue, "max images %d, want 1 to the queue's %d", o.MaxImages,
		o.Queue)
	wrong.Check(o.MaxConnections >= 8, "max connections %d, want 8 or more", o.MaxConnections)
	for name, d := range map[string]time.Duration{
		"timeout": o.Timeout, "header timeout": o.HeaderTimeout, "body timeout": o.BodyTimeout,
		"idle timeout": o.IdleTimeout, "drain": o.Drain,
	} {
		wrong.Check(d > 0, "%s %v, want more than 0", name, d)
	}
	wrong.Check(o.MaxBeam >= 1 && o.MaxBeam <= 256, "max beam %d, want 1 to 256", o.MaxBeam)
	wrong.Check(o.MaxLen >= 1, "max length %d, want 1 or more", o.MaxLen)
	wrong.Check(o.Rate >= 0 && o.Rate <= 1e6, "rate %g, want 0 (no limit) to 1000000", o.Rate)
	wrong.Check(o.Rate == 0 || o.Burst >= 1, "burst %d, want 1 or more", o.Burst)
	return errors.Join(wrong...)
}
