package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"captioner/data/image"
	"captioner/models/decode"
)

// counting is a model that says how wide an image is, and watches how much the pipeline holds at once.
type counting struct {
	prepared, captioned, most atomic.Int64
	batches                   []int
	fail                      error
}

func (c *counting) Prepare(m *image.RGB) *image.RGB {
	n := c.prepared.Add(1) - c.captioned.Load()
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	return m
}

func (c *counting) Caption(_ context.Context, images []*image.RGB, _ decode.Options) ([]decode.Caption, error) {
	c.batches = append(c.batches, len(images))
	c.captioned.Add(int64(len(images)))
	if c.fail != nil {
		return nil, c.fail
	}
	var out []decode.Caption
	for _, m := range images {
		out = append(out, decode.Caption{Text: fmt.Sprint("width ", m.W)})
	}
	return out, nil
}

// task is an image of a test. Each seventh needs no caption, and each fifth of the others cannot be loaded.
type task struct {
	number int
	text   string
}

var errBroken = errors.New("broken")

func load(_ context.Context, t *task) (*image.RGB, error) {
	switch {
	case t.number%7 == 6:
		return nil, nil
	case t.number%5 == 4:
		return nil, errBroken
	}
	return image.New(1+t.number%3, 1), nil
}

func set(t *task, c decode.Caption, err error) {
	if t.text = c.Text; err != nil {
		t.text = err.Error()
	}
}

func (t *task) want() string {
	switch {
	case t.number%7 == 6:
		return ""
	case t.number%5 == 4:
		return "broken"
	}
	return fmt.Sprint("width ", 1+t.number%3)
}

func TestKeepsOrderAndIsBounded(t *testing.T) {
	const n = 2000
	for _, tc := range []struct{ workers, batch int }{{1, 1}, {4, 7}, {8, 64}} {
		c := &counting{}
		p := Pipeline[*task]{Model: c, Workers: tc.workers, Batch: tc.batch, Patient: time.Minute, Load: load, Set: set}
		var got []*task
		err := p.Run(t.Context(), func(yield func(*task) bool) {
			for i := range n {
				if !yield(&task{number: i}) {
					return
				}
			}
		}, func(ts []*task) error { got = append(got, ts...); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != n {
			t.Fatalf("%d results, want %d", len(got), n)
		}
		for i, r := range got {
			if r.number != i || r.text != r.want() {
				t.Fatalf("result %d: got %d %q, want %q", i, r.number, r.text, r.want())
			}
		}
		if limit := int64(2*tc.workers + 6*tc.batch); c.most.Load() > limit {
			t.Errorf("%d images were held at once with %d workers and batches of %d, want at most %d", c.most.Load(),
				tc.workers, tc.batch, limit)
		}
		if slices.Max(c.batches) > tc.batch {
			t.Errorf("a batch of %d, want at most %d", slices.Max(c.batches), tc.batch)
		}
	}
}

func TestStops(t *testing.T) {
	endless := func(yield func(*task) bool) {
		for yield(&task{}) {
		}
	}
	run := func(ctx context.Context, c *counting, sink func([]*task) error) error {
		p := Pipeline[*task]{Model: c, Workers: 2, Batch: 3, Patient: time.Minute, Load: load, Set: set}
		return p.Run(ctx, endless, sink)
	}
	if err := run(t.Context(), &counting{fail: errBroken}, func([]*task) error { return nil }); err != errBroken {
		t.Errorf("a model that fails: got %v, want %v", err, errBroken)
	}
	if err := run(t.Context(), &counting{}, func([]*task) error { return errBroken }); err != errBroken {
		t.Errorf("a sink that fails: got %v, want %v", err, errBroken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := run(ctx, &counting{}, func(ts []*task) error { n += len(ts); cancel(); return nil })
	if !errors.Is(err, context.Canceled) || n == 0 || n%3 != 0 {
		t.Errorf("a run that is interrupted: got %v and %d results, want %v and whole batches", err, n, context.Canceled)
	}
}
