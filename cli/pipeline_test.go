package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"captioner/cli/console"
	"captioner/cli/input"
	"captioner/cli/output"
	"captioner/data/image"
	"captioner/models/captioner"
	"captioner/models/decode"
)

// counting is a model that watches how much the pipeline holds at once.
type counting struct {
	fake
	prepared, captioned, most atomic.Int64
	batches                   []int
	fail                      error
}

func (c *counting) Prepare(m *image.RGB) *image.RGB {
	n := c.prepared.Add(1) - c.captioned.Load()
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	return c.fake.Prepare(m)
}

func (c *counting) Caption(ctx context.Context, images []*image.RGB, o decode.Options) ([]captioner.Caption, error) {
	c.batches = append(c.batches, len(images))
	c.captioned.Add(int64(len(images)))
	if c.fail != nil {
		return nil, c.fail
	}
	return c.fake.Caption(ctx, images, o)
}

func TestPipelineKeepsOrderAndIsBounded(t *testing.T) {
	dir := pictures(t, 5)
	const n = 2000
	for _, tc := range []struct{ workers, batch int }{{1, 1}, {4, 7}, {8, 64}} {
		c := &counting{}
		p := pipeline{model: c, options: decode.DefaultOptions(), image: image.DefaultOptions(), workers: tc.workers, batch: tc.batch, patient: time.Minute}
		var got []string
		err := p.run(t.Context(), func(yield func(input.Input) bool) {
			for i := range n {
				in := input.Input{Path: filepath.Join(dir, fmt.Sprintf("%d.png", i%6)), Key: fmt.Sprint(i)} // each sixth is missing
				if !yield(in) {
					return
				}
			}
		}, func(rs []*output.Result) error {
			for _, r := range rs {
				got = append(got, r.Key+r.Caption.Text)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != n {
			t.Fatalf("%d results, want %d", len(got), n)
		}
		for i, s := range got {
			want := fmt.Sprint(i)
			if i%6 < 5 {
				want += "a " + []string{"red", "green", "blue", "white", "black"}[i%6] + " picture"
			}
			if s != want {
				t.Fatalf("result %d: got %q, want %q", i, s, want)
			}
		}
		if limit := int64(2*tc.workers + 6*tc.batch); c.most.Load() > limit {
			t.Errorf("%d pictures were held at once with %d workers and batches of %d, want at most %d", c.most.Load(), tc.workers, tc.batch, limit)
		}
		if slices.Max(c.batches) > tc.batch {
			t.Errorf("a batch of %d, want at most %d", slices.Max(c.batches), tc.batch)
		}
	}
}

func TestPipelineStops(t *testing.T) {
	dir := pictures(t, 1)
	endless := func(yield func(input.Input) bool) {
		for yield(input.Input{Path: filepath.Join(dir, "0.png")}) {
		}
	}
	broken := errors.New("broken")
	run := func(ctx context.Context, c *counting, sink func([]*output.Result) error) error {
		p := pipeline{model: c, options: decode.DefaultOptions(), workers: 2, batch: 3, patient: time.Minute}
		return p.run(ctx, endless, sink)
	}
	if err := run(t.Context(), &counting{fail: broken}, func([]*output.Result) error { return nil }); err != broken {
		t.Errorf("a model that fails: got %v, want %v", err, broken)
	}
	if err := run(t.Context(), &counting{}, func([]*output.Result) error { return broken }); err != broken {
		t.Errorf("a sink that fails: got %v, want %v", err, broken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := run(ctx, &counting{}, func(r []*output.Result) error { n += len(r); cancel(); return nil })
	if err != console.ErrInterrupted || n == 0 || n%3 != 0 {
		t.Errorf("a run that is interrupted: got %v and %d results, want %v and whole batches", err, n, console.ErrInterrupted)
	}
}
