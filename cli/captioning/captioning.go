// Package captioning captions the images that predict and eval are given: it reads and decodes them wherever they are,
// and keeps of each what the outputs want.
package captioning

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"

	"captioner/cli/console"
	"captioner/cli/input"
	"captioner/cli/model"
	"captioner/cli/output"
	"captioner/cli/prompt"
	"captioner/data/image"
	"captioner/data/image/thumbnail"
	"captioner/models/decode"
	"captioner/models/pipeline"
)

// Pipeline captions the images that predict and eval are given.
type Pipeline struct {
	pipeline.Pipeline[*output.Result]
	Captioner model.Model
	Image     image.Options
	Keep      bool // results keep their image's bytes
	Thumbnail bool // results keep a thumbnail

	// Skip says of an image that was read, by its bytes, whether it needs no caption; nil for none.
	Skip func(*output.Result, []byte) bool
	// Tags makes of an image what tags are ranked by; nil for none.
	Tags func(*image.RGB) *image.RGB
	// Prompt is a prompt with variables; the results keep it filled in. Nil for none.
	Prompt prompt.Template
}

// Run feeds the inputs of source through, and hands the results to sink in their order. load reads an image; nil reads
// files. Where ctx ends, it returns console.ErrInterrupted.
func (p *Pipeline) Run(ctx context.Context, source iter.Seq[input.Input], load func(input.Input) (*image.RGB, error),
	sink func([]*output.Result) error) error {
	p.Model = p.Captioner
	p.Set = func(r *output.Result, c decode.Caption, err error) { r.Caption, r.Err = c, err }
	p.Load = func(ctx context.Context, r *output.Result) (*image.RGB, error) {
		switch {
		case r.Err != nil || r.Skip:
			return nil, nil
		case load != nil:
			return load(r.Input)
		}
		return p.decode(ctx, r)
	}
	err := p.Pipeline.Run(ctx, func(yield func(*output.Result) bool) {
		for in := range source {
			if !yield(&output.Result{Input: in}) {
				return
			}
		}
	}, sink)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return console.ErrInterrupted
	}
	if err != nil {
		return model.SearchHint(err, p.Captioner)
	}
	return nil
}

// decode reads and decodes an image, and keeps of it what the outputs want.
func (p *Pipeline) decode(ctx context.Context, r *output.Result) (*image.RGB, error) {
	b, err := ReadInput(ctx, &r.Input)
	if err != nil {
		return nil, &input.Failure{Doing: "read image", Path: r.Path, Err: err}
	}
	if p.Skip != nil && p.Skip(r, b) {
		r.Skip = true
		return nil, nil
	}
	img, err := image.Decode(b, p.Image)
	if err != nil {
		return nil, &input.Failure{Doing: "read image", Path: r.Path, Err: err}
	}
	r.Preview = image.RawKind(b)
	if p.Prompt != nil {
		r.Prompt = p.Prompt.Expand(known(r.Path, b))
	}
	if p.Keep {
		r.Data = b
	}
	if p.Tags != nil {
		r.ForTags = p.Tags(img)
	}
	if p.Thumbnail {
		if r.Thumbnail, err = thumbnail.JPEG(img, thumbnail.Size); err != nil {
			return nil, fmt.Errorf("shrink %q: %w", r.Path, err)
		}
	}
	return img, nil
}

// ReadInput reads an image, wherever it is, and notes what its file looked like.
func ReadInput(ctx context.Context, in *input.Input) ([]byte, error) {
	if in.Open != nil {
		return in.Open(ctx)
	}
	if info, err := os.Stat(in.Path); err == nil {
		in.Stamp = input.StampOf(info)
	}
	return image.ReadFile(in.Path)
}

// Hint adds the remedy to what is wrong with an image.
func Hint(err error) error {
	switch {
	case errors.Is(err, image.ErrTruncated):
		return console.WithHint(err, "--allow-truncated captions what there is")
	case errors.Is(err, image.ErrTooLarge):
		return console.WithHint(err, "raise --max-pixels, or scale the image down first")
	}
	return err
}
