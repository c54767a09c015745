package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"captioner/cli/cloud"
	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/input"
	"captioner/cli/model"
	"captioner/cli/output"
	"captioner/models/captioner"
	"captioner/models/decode"
)

// featureModel is a model that captions what an encoder made of an image elsewhere.
type featureModel interface {
	model.Model
	FeatureShape() (places, width int)
	Pads() bool
	CaptionFeatures(context.Context, [][]float32, decode.Options) ([]captioner.Caption, error)
}

// runEmbeddings captions the rows of --embeddings, which takes no images and no encoder.
func runEmbeddings(ctx context.Context, con *console.Console, o PredictOptions) error {
	start := time.Now()
	rows, err := input.OpenRows(o.Embeddings)
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	defer rows.Src.Close()
	o.Model.NoEncoder = true
	r := &predictRun{con: con, o: &o, in: input.Inputs{Cloud: new(cloud.Store)}}
	defer r.in.Cloud.Close()
	o.shown = o.Out
	if err := r.checkOutputs(ctx); err != nil {
		return err
	}
	defer r.remote.Close()
	m, err := model.Open(ctx, con, o.load, o.Model)
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	defer m.Close()
	f, ok := m.(featureModel)
	if !ok {
		return fmt.Errorf("predict: model %q takes no embeddings", m.Name())
	}
	places, width := f.FeatureShape()
	if err := rows.Fit(places, width, f.Pads()); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	r.model = m
	if err := r.begin(); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	r.progress.Expect(int64(rows.N))
	return r.end(start, r.embeddings(ctx, f, rows))
}

// embeddings captions a batch of rows after the other.
func (r *predictRun) embeddings(ctx context.Context, m featureModel, rows *input.Rows) error {
	for from := 0; from < rows.N; from += r.pipe.Batch {
		if ctx.Err() != nil {
			return console.ErrInterrupted
		}
		var results []*output.Result
		var features [][]float32
		var good []*output.Result
		o := r.pipe.Options
		for i := from; i < min(from+r.pipe.Batch, rows.N); i++ {
			res := &output.Result{Input: input.Input{Path: rows.Name(i), Key: rows.Name(i), Open: rows.NoPicture,
				Stamp: rows.Stamp}}
			res.Skip = !r.o.shard.Holds(res.Key) || r.file != nil && r.file.Has(res.Input)
			results = append(results, res)
			if res.Skip {
				continue
			}
			x, err := rows.Row(i)
			if err != nil {
				res.Err = err
				continue
			}
			features, good, o.IDs = append(features, x), append(good, res), append(o.IDs, uint64(i))
		}
		if !o.Sample {
			o.IDs = nil
		}
		start := time.Now()
		captions, err := m.CaptionFeatures(ctx, features, o)
		r.pipe.Times.Caption.Add(int64(time.Since(start)))
		if err != nil {
			return model.SearchHint(err, m)
		}
		for i, c := range captions {
			good[i].Caption = c
		}
		if err := r.sink(results); err != nil {
			return err
		}
	}
	return nil
}

// embeddingFlags are those of predict that need images.
var embeddingFlags = []string{"sidecar", "no-recursive", "no-orient", "allow-truncated", "encoder"}

// validateEmbeddings refuses what makes no sense without images.
func (o *PredictOptions) validateEmbeddings(wrong *console.Mistakes) {
	const hint = "leave out one of them"
	wrong.Check(len(o.inputs) == 0, hint, "--embeddings and %s contradict each other", strings.Join(o.inputs, ", "))
	for _, f := range embeddingFlags {
		wrong.Check(!o.Decode.Set(f), hint, "--embeddings and --%s contradict each other", f)
	}
	wrong.Check(!o.Watch && o.HTML == "" && o.Format != "webdataset", "",
		"--embeddings has no images for --watch, --html or --format webdataset")
	wrong.Check(o.Tags.File == "", "", "--embeddings has no images for --tags")
	wrong.Check(o.Model.Device != flags.AllGPUs, "--device cuda takes the first",
		"--embeddings are captioned on one GPU, found --device %s", o.Model.Device)
	wrong.Check(o.Decode.Template() == nil, "", "--embeddings has no images for the variables of --prompt")
}
