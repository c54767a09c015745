package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"captioner/data"
	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/dist"
	"captioner/weights/safetensors"
)

// Features are the encoder's features of a corpus, in float16, read from memory-mapped cache files.
type Features struct {
	Positions, Channels int64
	New                 int        // how many pictures were not in the cache before
	places              []rowPlace // of each picture
	shards              []*safetensors.File
	data                [][]byte // of each shard, [n, P, C]
}

// Bad is a picture that cannot be read or decoded.
type Bad struct {
	Index int // among those that were asked for
	Path  string
	Err   error
}

// EncodeOptions say where features are cached and who computes them.
type EncodeOptions struct {
	Cache    string // folder; see CacheDir
	Mirrored bool
	Group    *dist.Group // processes that share the work, all of which call Encode alike; nil for this one alone
	Done     func(n int) // told how many pictures are ready, after each shard
}

// Encode opens the cached features of pictures, mirrored or not, and computes those that the cache lacks. It may be cut off at any time; what
// was finished stays. Pictures that cannot be decoded are named, all of them; the features are those of the others, in their order.
func Encode(ctx context.Context, e *encoder.Runner, c family.Config, pictures []data.Example, o EncodeOptions) (*Features, []Bad, error) {
	all := make([]shown, len(pictures))
	for i, p := range pictures {
		all[i] = shown{Example: p, mirrored: o.Mirrored}
	}
	return encodeShown(ctx, e, c, 0, all, o)
}

// encodeShown is Encode of pictures as they are shown. With a stage above 0, the features are what enters that stage of the encoder.
func encodeShown(ctx context.Context, e *encoder.Runner, c family.Config, stage int, pictures []shown, o EncodeOptions) (*Features, []Bad, error) {
	keys, err := pictureKeys(pictures)
	if err != nil {
		return nil, nil, err
	}
	s, err := openFeatureCache(o.Cache, c, encoding{e, c.Encoder.Preprocess, stage}, o.Group)
	if err != nil {
		return nil, nil, err
	}
	fresh := len(s.missing(keys, nil))
	failed, err := s.fill(ctx, keys, pictures, o.Done)
	if err != nil {
		s.close()
		return nil, nil, err
	}
	f := &Features{New: fresh - len(failed), shards: s.shards, data: s.data}
	if s.shape != nil {
		f.Positions, f.Channels = s.shape[0], s.shape[1]
	}
	var bad []Bad
	for i, k := range keys {
		if err, no := failed[k]; no {
			bad = append(bad, Bad{i, pictures[i].Name(), err})
		} else {
			f.places = append(f.places, s.index[k])
		}
	}
	return f, bad, nil
}

// encoding is what is done to pictures.
type encoding struct {
	encoder    *encoder.Runner
	preprocess image.Preprocess
	stage      int
}

// run gives the features of n prepared pictures. It works inside torch.Do.
func (w encoding) run(pixels []byte, n int) *torch.Tensor {
	if w.stage > 0 {
		return w.encoder.Lower(pixels, n, w.stage)
	}
	return w.encoder.Features(pixels, n)
}

// prepared are the pixels of a picture, or why there are none.
type prepared struct {
	pix []byte
	err error
}

// prepareAll decodes and scales pictures on all cores, in their order as far as one can tell from outside: slot i gets picture i. It goes on
// until all are done or ctx ends; wait returns when its goroutines have.
func prepareAll(ctx context.Context, p image.Preprocess, pictures []shown) (slots []chan prepared, wait func()) {
	slots = make([]chan prepared, len(pictures))
	for i := range slots {
		slots[i] = make(chan prepared, 1)
	}
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				pix, err := pictures[i].prepare(p)
				slots[i] <- prepared{pix, err}
			}
		})
	}
	wg.Go(func() {
		defer close(next)
		for i := range pictures {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	return slots, wg.Wait
}

// encodeBatch is how many pictures go through the encoder at once.
const encodeBatch = 16

// encode gives the features of the pictures that can be decoded, one after the other in float16, their shape [P, C], and by picture why one
// cannot. All cores decode while the encoder works on the pictures before.
func (w encoding) encode(ctx context.Context, pictures []shown) (features []byte, shape []int64, errs []error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	slots, wait := prepareAll(ctx, w.preprocess, pictures)
	defer wait()
	defer cancel()
	errs = make([]error, len(pictures))
	pixels := make([]byte, 0, encodeBatch*w.preprocess.Size*w.preprocess.Size*3)
	n := 0
	for i := range pictures {
		select {
		case p := <-slots[i]:
			if errs[i] = p.err; p.err == nil {
				pixels = append(pixels, p.pix...)
				n++
			}
		case <-ctx.Done():
			return nil, nil, nil, ctx.Err()
		}
		if n < encodeBatch && i < len(pictures)-1 || n == 0 {
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

// Len is the number of pictures.
func (f *Features) Len() int { return len(f.places) }

// Row is the features of picture i, [P, C] in float16. It aliases the cache file.
func (f *Features) Row(i int) []byte {
	n, at := int(f.Positions*f.Channels*2), f.places[i]
	return f.data[at.shard][at.row*n : (at.row+1)*n]
}

// gather takes pictures together, each from the features that from names for it: [len(index), P, C] in float32 on dev. It works inside
// torch.Do.
func gather(index []int, from []*Features, dev torch.Device) *torch.Tensor {
	return torch.Tidy1(func() *torch.Tensor {
		p, c := from[0].Positions, from[0].Channels
		b := make([]byte, 0, len(index)*int(p*c)*2)
		for k, i := range index {
			b = append(b, from[k].Row(i)...)
		}
		return torch.FromBytes(b, torch.Float16, int64(len(index)), p, c).Move(dev, torch.Float32, false)
	})
}

// Close unmaps the cache files.
func (f *Features) Close() error {
	var errs []error
	for _, s := range f.shards {
		errs = append(errs, s.Close())
	}
	f.shards, f.data = nil, nil
	return errors.Join(errs...)
}

// CacheDir is the folder for what can be computed again: dir, or "captioner" in the user's cache folder.
func CacheDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return filepath.Join(base, "captioner"), nil
}
