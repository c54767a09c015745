package features

import (
	"context"

	"captioner/data"
	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/dist"
)

// Options say where features are cached and who computes them.
type Options struct {
	Cache    string // folder; see CacheDir
	Mirrored bool
	Group    *dist.Group // processes that share the work, all of which call Encode alike; nil for this one alone
	Done     func(n int) // told how many images are ready, after each shard
}

// Bad is an image that cannot be read or decoded.
type Bad struct {
	Index int // among those that were asked for
	Path  string
	Err   error
}

// Encode opens the cached features of images, mirrored or not, and computes those that the cache lacks. It may be cut
// off at any time; what was finished stays. Images that cannot be decoded are named, all of them; the features are
// those of the others, in their order.
func Encode(
	ctx context.Context, e *encoder.Runner, c family.Config, images []data.Example, o Options,
) (*Set, []Bad, error) {
	all := make([]View, len(images))
	for i, p := range images {
		all[i] = View{Example: p, Mirrored: o.Mirrored}
	}
	return EncodeViews(ctx, e, c, 0, all, o)
}

// EncodeViews is Encode of images as they are shown. With a stage above 0, the features are what enters that stage of
// the encoder.
func EncodeViews(
	ctx context.Context, e *encoder.Runner, c family.Config, stage int, images []View, o Options,
) (*Set, []Bad, error) {
	keys, err := imageKeys(images)
	if err != nil {
		return nil, nil, err
	}
	s, err := openCache(o.Cache, c, encoding{e, c.Encoder.Preprocess, stage}, o.Group)
	if err != nil {
		return nil, nil, err
	}
	fresh := len(s.missing(keys, nil))
	failed, err := s.fill(ctx, keys, images, o.Done)
	if err != nil {
		s.close()
		return nil, nil, err
	}
	f := &Set{New: fresh - len(failed), shards: s.shards, data: s.data}
	if s.shape != nil {
		f.Positions, f.Channels = s.shape[0], s.shape[1]
	}
	var bad []Bad
	for i, k := range keys {
		if err, no := failed[k]; no {
			bad = append(bad, Bad{i, images[i].Name(), err})
		} else {
			f.positions = append(f.positions, s.index[k])
		}
	}
	return f, bad, nil
}

// encoding is what is done to images.
type encoding struct {
	encoder    *encoder.Runner
	preprocess image.Preprocess
	stage      int
}

// run gives the features of n prepared images. It works inside torch.Do.
func (w encoding) run(pixels []byte, n int) *torch.Tensor {
	if w.stage > 0 {
		return w.encoder.Lower(pixels, n, w.stage)
	}
	return w.encoder.Features(pixels, n)
}

// encodeBatch is how many images go through the encoder at once.
const encodeBatch = 16

// encode gives the features of the images that can be decoded, one after the other in float16, their shape [P, C], and
// by image why one cannot. All cores decode while the encoder works on the images before.
func (w encoding) encode(ctx context.Context, images []View) (features []byte, shape []int64, errs []error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	slots, wait := PrepareAll(ctx, w.preprocess, images)
	defer wait()
	defer cancel()
	errs = make([]error, len(images))
	pixels := make([]byte, 0, encodeBatch*w.preprocess.Size*w.preprocess.Size*3)
	n := 0
	for i := range images {
		select {
		case p := <-slots[i]:
			if errs[i] = p.Err; p.Err == nil {
				pixels = append(pixels, p.Pixels...)
				n++
			}
		case <-ctx.Done():
			return nil, nil, nil, ctx.Err()
		}
		if n < encodeBatch && i < len(images)-1 || n == 0 {
			continue
		}
		err := torch.Do(ctx, func() error {
			torch.Inference(func() {
				t := w.run(pixels, n).To(torch.Float16)
				shape = t.Shape()[1:]
				features = append(features, t.Bytes()...)
			})
			return nil
		})
		if err != nil {
			return nil, nil, nil, err
		}
		pixels, n = pixels[:0], 0
	}
	return features, shape, errs, nil
}
