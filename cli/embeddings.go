package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"captioner/models/captioner"
	"captioner/models/decode"
)

// featureModel is a model that captions what an encoder made of a picture elsewhere.
type featureModel interface {
	model
	FeatureShape() (places, width int)
	Pads() bool
	CaptionFeatures(context.Context, [][]float32, decode.Options) ([]captioner.Caption, error)
}

// runEmbeddings captions the rows of --embeddings, which takes no pictures and no encoder.
func runEmbeddings(ctx context.Context, p *console, o PredictOptions) error {
	start := time.Now()
	rows, err := readEmbeddings(o.Embeddings)
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	defer rows.src.Close()
	o.Model.NoEncoder = true
	m, err := openModel(ctx, p, o.load, o.Model)
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	defer m.Close()
	f, ok := m.(featureModel)
	if !ok {
		return fmt.Errorf("predict: model %q takes no embeddings", m.Name())
	}
	places, width := f.FeatureShape()
	if err := rows.fit(places, width, f.Pads()); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	r := &predictRun{p: p, o: &o, model: m}
	if err := r.begin(); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	r.told.expect(int64(rows.n))
	return r.end(start, r.embeddings(ctx, f, rows))
}

// embeddings captions a batch of rows after the other.
func (r *predictRun) embeddings(ctx context.Context, m featureModel, rows *embeddings) error {
	for from := 0; from < rows.n; from += r.pipe.batch {
		if ctx.Err() != nil {
			return errInterrupted
		}
		var results []*result
		var features [][]float32
		var good []*result
		o := r.pipe.options
		for i := from; i < min(from+r.pipe.batch, rows.n); i++ {
			res := &result{input: input{path: rows.name(i), key: rows.name(i), open: rows.noPicture, stamp: rows.stamp}}
			res.skip = !r.o.shard.holds(res.key) || r.file != nil && r.file.has(res.input)
			results = append(results, res)
			if res.skip {
				continue
			}
			x, err := rows.row(i)
			if err != nil {
				res.err = err
				continue
			}
			features, good, o.IDs = append(features, x), append(good, res), append(o.IDs, uint64(i))
		}
		if !o.Sample {
			o.IDs = nil
		}
		start := time.Now()
		captions, err := m.CaptionFeatures(ctx, features, o)
		r.pipe.times.caption.Add(int64(time.Since(start)))
		if err != nil {
			return searchHint(err, m)
		}
		for i, c := range captions {
			good[i].caption = c
		}
		if err := r.sink(results); err != nil {
			return err
		}
	}
	return nil
}

// embeddingFlags are those of predict that need pictures.
var embeddingFlags = []string{"sidecar", "no-recursive", "no-orient", "allow-truncated", "encoder"}

// validateEmbeddings refuses what makes no sense without pictures.
func (o *PredictOptions) validateEmbeddings() (errs []error) {
	if len(o.inputs) > 0 {
		errs = append(errs, usagef("leave out one of them", "--embeddings and %s contradict each other", strings.Join(o.inputs, ", ")))
	}
	for _, f := range embeddingFlags {
		if o.Decode.set(f) {
			errs = append(errs, usagef("leave out one of them", "--embeddings and --%s contradict each other", f))
		}
	}
	return errs
}
