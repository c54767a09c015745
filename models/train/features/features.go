// Package features computes the features of an encoder once and keeps them on disk.
//
// A [View] is an image and a way of showing it: whole, mirrored, or a crop. [Encode] and [EncodeViews] give a [Set] of
// features, one row a view, from cache files that are mapped into memory, and compute what the files lack, shared out
// over the processes of a group. The files are found again by what decides the features: the encoder's checksum, the
// preprocessing, and each image's path, size and time of change.
package features

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"captioner/torch"
	"captioner/weights/safetensors"
)

// Set is the encoder's features of a corpus, in float16, read from memory-mapped cache files.
type Set struct {
	Positions, Channels int64
	New                 int        // how many images were not in the cache before
	positions           []position // of each image
	shards              []*safetensors.File
	data                [][]byte // of each shard, [n, P, C]
}

// Len is the number of images.
func (f *Set) Len() int { return len(f.positions) }

// Row is the features of image i, [P, C] in float16. It aliases the cache file.
func (f *Set) Row(i int) []byte {
	n, at := int(f.Positions*f.Channels*2), f.positions[i]
	return f.data[at.shard][at.row*n : (at.row+1)*n]
}

// Rows are the features of images, one row each.
type Rows interface {
	// Shape is the shape of a row, [P, C].
	Shape() (positions, channels int64)
	// Row is the features of image i, [P, C] in float16. The caller does not change it.
	Row(i int) []byte
	Close() error
}

// Shape is the shape of a row.
func (f *Set) Shape() (positions, channels int64) { return f.Positions, f.Channels }

// Gather takes images together, each from the rows that from names for it: [len(index), P, C] in float32 on dev. It
// works inside torch.Do.
func Gather(index []int, from []Rows, dev torch.Device) *torch.Tensor {
	return torch.Tidy1(func() *torch.Tensor {
		p, c := from[0].Shape()
		b := make([]byte, 0, len(index)*int(p*c)*2)
		for k, i := range index {
			b = append(b, from[k].Row(i)...)
		}
		return torch.FromBytes(b, torch.Float16, int64(len(index)), p, c).Move(dev, torch.Float32, false)
	})
}

// Close unmaps the cache files.
func (f *Set) Close() error {
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
