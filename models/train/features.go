package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"captioner/data"
	"captioner/data/image"
	"captioner/models/captioner"
	"captioner/torch"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// shardSize is how many pictures share a cache file: what is lost at most when encoding is cut off.
const shardSize = 250

// Features are the encoder's features of a corpus, in float16, read from memory-mapped cache files.
type Features struct {
	Positions, Channels int64
	shards              []*safetensors.File
	data                [][]byte // of each shard, [shardSize, P, C]
}

// cacheKey names a folder of features: everything that decides their values but the pictures.
func cacheKey(c captioner.Config, stage int) (string, error) {
	key := map[string]any{"encoder": c.Encoder, "form": 2}
	if stage > 0 {
		key["stage"] = stage
	} else if m := c.Memory; m.Kind != captioner.Grid { // what memories look at differs
		m.Dropout, m.Layers, m.Heads = 0, 0, 0
		key["memory"] = m
	}
	b, err := json.Marshal(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8]), nil
}

// shardName identifies the pictures of a shard by path, size and time of change, and by how they are shown.
func shardName(pictures []shown) (string, error) {
	h := sha256.New()
	for _, p := range pictures {
		file := p.Path
		if p.Archive != "" {
			file = p.Archive
		}
		info, err := os.Stat(file)
		if err != nil {
			return "", fmt.Errorf("encode pictures: %w", err)
		}
		abs, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%q %q %d %d %s\n", abs, p.Path, info.Size(), info.ModTime().UnixNano(), p.mark())
	}
	return hex.EncodeToString(h.Sum(nil)[:12]) + ".safetensors", nil
}

// Encode opens the cached features of pictures, mirrored or not, and computes those that the cache lacks. It may be cut off at any time; what
// was finished stays. done is called with the number of pictures that are ready, after each shard.
func Encode(ctx context.Context, e *captioner.Encoder, c captioner.Config, cache string, pictures []data.Example, mirrored bool, done func(int)) (*Features, error) {
	all := make([]shown, len(pictures))
	for i, p := range pictures {
		all[i] = shown{Example: p, mirrored: mirrored}
	}
	return encodeShown(ctx, e, c, 0, cache, all, done)
}

// encodeShown is Encode of pictures as they are shown. With a stage above 0, the features are what enters that stage of the encoder.
func encodeShown(ctx context.Context, e *captioner.Encoder, c captioner.Config, stage int, cache string, pictures []shown, done func(int)) (*Features, error) {
	key, err := cacheKey(c, stage)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "features", key)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("encode pictures: %w", err)
	}
	work := encoding{e, c.Encoder.Preprocess, stage}
	f := &Features{}
	for chunk := range slices.Chunk(pictures, shardSize) {
		if err := f.addShard(ctx, work, dir, chunk); err != nil {
			f.Close()
			return nil, err
		}
		done(len(f.shards[:len(f.shards)-1])*shardSize + len(chunk))
	}
	return f, nil
}

// encoding is what is done to pictures.
type encoding struct {
	encoder    *captioner.Encoder
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

func (f *Features) addShard(ctx context.Context, w encoding, dir string, pictures []shown) error {
	name, err := shardName(pictures)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	s, err := safetensors.Open(path)
	var bad *safetensors.FormatError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &bad) {
		if err := writeShard(ctx, w, path, pictures); err != nil {
			return err
		}
		s, err = safetensors.Open(path)
	}
	if err != nil {
		return fmt.Errorf("open cached features: %w", err)
	}
	f.shards = append(f.shards, s)
	t, err := s.Tensor("features")
	if err != nil {
		return fmt.Errorf("open cached features %q: %w", path, err)
	}
	if len(t.Shape) != 3 || t.Shape[0] != int64(len(pictures)) || t.DType != weights.F16 {
		return fmt.Errorf("open cached features %q: found %v %v, want F16 of %d pictures", path, t.DType, t.Shape, len(pictures))
	}
	f.Positions, f.Channels = t.Shape[1], t.Shape[2]
	f.data = append(f.data, t.Data)
	return nil
}

// BadPictures are pictures that cannot be read, with the reasons.
type BadPictures struct {
	Paths  []string
	Errors []error
}

func (b *BadPictures) Error() string {
	return fmt.Sprintf("encode pictures: %d cannot be read, the first: %v", len(b.Paths), b.Errors[0])
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

// writeShard decodes pictures on all cores while the encoder works on those before them.
func writeShard(ctx context.Context, w encoding, path string, pictures []shown) error {
	const batch = 16
	ctx, cancel := context.WithCancel(ctx)
	slots, wait := prepareAll(ctx, w.preprocess, pictures)
	defer wait()
	defer cancel()
	var out []byte
	var shape []int64
	var bad BadPictures
	for start := 0; start < len(pictures); start += batch {
		n := min(batch, len(pictures)-start)
		pixels := make([]byte, 0, n*w.preprocess.Size*w.preprocess.Size*3)
		for i := start; i < start+n; i++ {
			select {
			case p := <-slots[i]:
				if p.err != nil {
					bad.Paths, bad.Errors = append(bad.Paths, pictures[i].Name()), append(bad.Errors, p.err)
				}
				pixels = append(pixels, p.pix...)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if len(bad.Paths) > 0 {
			continue
		}
		err := torch.Do(ctx, func() error {
			torch.Inference(func() {
				t := w.run(pixels, n).To(torch.Float16)
				shape = t.Shape()
				out = append(out, t.Bytes()...)
			})
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(bad.Paths) > 0 {
		return &bad
	}
	shape[0] = int64(len(pictures))
	return safetensors.WriteFile(path, []weights.NamedTensor{{Name: "features", DType: weights.F16, Shape: shape, Data: out}}, nil)
}

// row is the features of picture i, [P, C] in float16.
func (f *Features) row(i int) []byte {
	n := int(f.Positions * f.Channels * 2)
	at := i % shardSize * n
	return f.data[i/shardSize][at : at+n]
}

// gather takes pictures together, each from the features that from names for it: [len(index), P, C] in float32 on dev. It works inside
// torch.Do.
func gather(index []int, from []*Features, dev torch.Device) *torch.Tensor {
	return torch.Tidy1(func() *torch.Tensor {
		p, c := from[0].Positions, from[0].Channels
		b := make([]byte, 0, len(index)*int(p*c)*2)
		for k, i := range index {
			b = append(b, from[k].row(i)...)
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
