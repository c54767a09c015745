package features

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
	"slices"
	"strings"

	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch/dist"
	"captioner/weights"
	"captioner/weights/plural"
	"captioner/weights/safetensors"
)

// shardSize is how many images share a cache file: what is lost at most when encoding is cut off.
const shardSize = 250

// What a cache file holds: the features [n, P, C], the key of each row's image [n, 16], and as metadata the SHA-256 of
// the features.
const (
	featuresName = "features"
	keysName     = "keys"
	metaSum      = "sha256"
)

// imageKey identifies an image by path, size and time of change, and by how it is shown.
type imageKey [16]byte

// position is where an image's features are.
type position struct{ shard, row int }

// cache is a folder of features by one encoder. Which images are in which file does not matter: every data set, split
// and order finds its own.
type cache struct {
	dir    string
	work   encoding
	group  *dist.Group
	index  map[imageKey]position
	known  map[string]bool // names of files that are open
	shape  []int64         // [P, C]; nil while there is no file
	shards []*safetensors.File
	data   [][]byte
}

// cacheKey names a folder of features: everything that decides their values but the images.
func cacheKey(c family.Config, stage int) (string, error) {
	key := map[string]any{"encoder": c.Encoder, "form": 3}
	if stage > 0 {
		key["stage"] = stage
	} else if m := c.Memory; m.Kind != encoder.Grid { // what memories look at differs
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

func imageKeys(images []View) ([]imageKey, error) {
	keys := make([]imageKey, len(images))
	archives := map[string]fs.FileInfo{}
	for i, p := range images {
		file, info := p.Path, archives[p.Archive]
		if p.Archive != "" {
			file = p.Archive
		}
		if info == nil {
			var err error
			if info, err = os.Stat(file); err != nil {
				return nil, fmt.Errorf("encode images: %w", err)
			}
			if p.Archive != "" {
				archives[p.Archive] = info
			}
		}
		abs, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d %s",
			abs, p.Path, info.Size(), info.ModTime().UnixNano(), p.mark()))
		keys[i] = imageKey(sum[:])
	}
	return keys, nil
}

// Dir is the folder in which the features of a captioner's encoder are cached; see CacheDir for cache.
func Dir(cache string, c family.Config) (string, error) {
	key, err := cacheKey(c, 0)
	return filepath.Join(cache, "features", key), err
}

func openCache(folder string, c family.Config, w encoding, g *dist.Group) (*cache, error) {
	key, err := cacheKey(c, w.stage)
	if err != nil {
		return nil, err
	}
	s := &cache{
		dir: filepath.Join(folder, "features", key), work: w, group: g,
		index: map[imageKey]position{}, known: map[string]bool{},
	}
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return nil, fmt.Errorf("encode images: %w", err)
	}
	if err := s.read(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// read opens the files that are new in the folder. One that is damaged is put aside: its images are encoded again.
func (s *cache) read() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("open cached features: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if s.known[name] || filepath.Ext(name) != ".safetensors" || strings.HasPrefix(name, ".") {
			continue
		}
		path := filepath.Join(s.dir, name)
		err := s.add(path)
		var bad *damagedError
		if errors.As(err, &bad) {
			if err = os.Rename(path, path+".damaged"); errors.Is(err, fs.ErrNotExist) { // by another process
				err = nil
			}
		} else if err == nil {
			s.known[name] = true
		}
		if err != nil {
			return fmt.Errorf("open cached features: %w", err)
		}
	}
	return nil
}

// damagedError says what is wrong with a cache file.
type damagedError struct{ error }

func (s *cache) add(path string) error {
	f, err := safetensors.Open(path)
	if err != nil {
		var form *safetensors.FormatError
		if errors.As(err, &form) {
			return &damagedError{err}
		}
		return err
	}
	features, err := f.Tensor(featuresName)
	keys, err2 := f.Tensor(keysName)
	if err := errors.Join(err, err2); err != nil {
		f.Close()
		return &damagedError{err}
	}
	const size = len(imageKey{})
	n := len(keys.Data) / size
	sum := sha256.Sum256(features.Data)
	if len(features.Shape) != 3 || features.Shape[0] != int64(n) || features.DType != weights.F16 ||
		f.Metadata()[metaSum] != hex.EncodeToString(sum[:]) ||
		s.shape != nil && !slices.Equal(s.shape, features.Shape[1:]) {
		f.Close()
		return &damagedError{fmt.Errorf("%q: found %v %v, want F16 of %s and their checksum",
			path, features.DType, features.Shape, plural.Count(n, "image"))}
	}
	for row := range n {
		s.index[imageKey(keys.Data[row*size:])] = position{len(s.shards), row}
	}
	s.shape = slices.Clone(features.Shape[1:])
	s.shards, s.data = append(s.shards, f), append(s.data, features.Data)
	return nil
}

// write adds a file with the features of these images. Two processes that encode the same write the same file.
func (s *cache) write(keys []imageKey, features []byte, shape []int64) error {
	var flat []byte
	for _, k := range keys {
		flat = append(flat, k[:]...)
	}
	sum, name := sha256.Sum256(features), sha256.Sum256(flat)
	err := safetensors.WriteFile(filepath.Join(s.dir, hex.EncodeToString(name[:12])+".safetensors"), []weights.NamedTensor{
		{Name: featuresName, DType: weights.F16, Shape: append([]int64{int64(len(keys))}, shape...), Data: features},
		{Name: keysName, DType: weights.U8, Shape: []int64{int64(len(keys)), int64(len(imageKey{}))}, Data: flat},
	}, map[string]string{metaSum: hex.EncodeToString(sum[:])})
	if err != nil {
		return fmt.Errorf("write cached features: %w", err)
	}
	return nil
}

func (s *cache) close() {
	for _, f := range s.shards {
		f.Close()
	}
}

// missing lists the images that the cache lacks, each once and but for those that were tried.
func (s *cache) missing(keys []imageKey, tried map[imageKey]error) []int {
	var out []int
	seen := map[imageKey]bool{}
	for i, k := range keys {
		_, cached := s.index[k]
		_, failed := tried[k]
		if !cached && !failed && !seen[k] {
			seen[k] = true
			out = append(out, i)
		}
	}
	return out
}

// fill encodes what the cache lacks, shared out over the ranks of the group, and gives the images that cannot be
// decoded with the reasons. What other ranks have on disks of their own, or could not decode, this one does in a
// second round: all end with the same.
func (s *cache) fill(ctx context.Context, keys []imageKey, images []View, done func(int)) (map[imageKey]error, error) {
	failed := map[imageKey]error{}
	todo := s.missing(keys, failed)
	size := s.group.Size()
	var mine []int
	each := max(1, min(shardSize, (len(todo)+size-1)/size)) // few images are shared out too
	for k, chunk := range slices.Collect(slices.Chunk(todo, each)) {
		if k%size == s.group.Rank() {
			mine = append(mine, chunk...)
		}
	}
	ready := len(keys) - len(todo)
	err := s.encode(ctx, mine, keys, images, failed, func(n int) { done(min(ready+n*size, len(keys))) })
	if err != nil {
		return nil, err
	}
	if err := s.group.Wait(ctx, "the features of images"); err != nil {
		return nil, err
	}
	if err := s.read(); err != nil {
		return nil, err
	}
	todo = s.missing(keys, failed)
	err = s.encode(ctx, todo, keys, images, failed, func(n int) { done(len(keys) - len(todo) + n) })
	done(len(keys))
	return failed, err
}

// encode adds files with the features of some images, and the reasons of those that cannot be decoded to failed.
func (s *cache) encode(
	ctx context.Context, todo []int, keys []imageKey, images []View, failed map[imageKey]error, done func(int),
) error {
	n := 0
	for chunk := range slices.Chunk(todo, shardSize) {
		list := make([]View, len(chunk))
		for k, i := range chunk {
			list[k] = images[i]
		}
		features, shape, errs, err := s.work.encode(ctx, list)
		if err != nil {
			return err
		}
		var good []imageKey
		for k, i := range chunk {
			if errs[k] == nil {
				good = append(good, keys[i])
			} else {
				failed[keys[i]] = errs[k]
			}
		}
		if len(good) > 0 {
			if err := s.write(good, features, shape); err != nil {
				return err
			}
		}
		s.group.Advance()
		n += len(chunk)
		done(n)
	}
	return s.read()
}
