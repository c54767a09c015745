package output

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"captioner/cli/console"
	"captioner/data"
	"captioner/models/train/features"
	"captioner/weights"
	"captioner/weights/atomicfile"
	"captioner/weights/npy"
	"captioner/weights/safetensors"
)

// FeatureWriter writes features for other programs: files of a tensor [n, P, C] in float16, index.jsonl with the file
// and row of each image, and SHA256SUMS, which sha256sum -c reads.
type FeatureWriter struct {
	Folder, Format string
	Size           int    // images a file
	Model          string // for the metadata
}

// indexLine is a line of index.jsonl.
type indexLine struct {
	ID   string `json:"id"`
	Path string `json:"path"`
	File string `json:"file"`
	Row  int    `json:"row"`
}

// Write writes the features of the images into the folder.
func (w FeatureWriter) Write(f *features.Set, pictures []data.Example) error {
	if existing(w.Folder) {
		return console.WithHint(fmt.Errorf("write features into %q: found some there, want a folder without", w.Folder),
			"remove them, or give another --out")
	}
	if err := os.MkdirAll(w.Folder, 0o777); err != nil {
		return fmt.Errorf("write features: %w", err)
	}
	files := (f.Len() + w.Size - 1) / w.Size
	var sums, index []byte
	for k := range files {
		from, to := k*w.Size, min((k+1)*w.Size, f.Len())
		name := outName(k, files) + "." + w.Format
		sum, err := w.file(filepath.Join(w.Folder, name), f, from, to)
		if err != nil {
			return fmt.Errorf("write features: %w", err)
		}
		sums = append(sums, sum+"  "+name+"\n"...)
		for i := from; i < to; i++ {
			b, err := json.Marshal(indexLine{pictures[i].ID, pictures[i].Name(), name, i - from})
			if err != nil {
				return err
			}
			index = append(append(index, b...), '\n')
		}
	}
	for name, b := range map[string][]byte{"SHA256SUMS": sums, "index.jsonl": index} {
		if err := atomicfile.WriteFile(filepath.Join(w.Folder, name),
			func(out io.Writer) error { _, err := out.Write(b); return err }); err != nil {
			return fmt.Errorf("write features: %w", err)
		}
	}
	return nil
}

// file writes the features of some images, row by row, and gives the file's SHA-256. A pooled encoder's are [n, C].
func (w FeatureWriter) file(path string, f *features.Set, from, to int) (sum string, err error) {
	shape := []int64{int64(to - from), f.Positions, f.Channels}
	if f.Positions == 1 {
		shape = []int64{shape[0], shape[2]}
	}
	var head []byte
	if w.Format == "npy" {
		head, err = npy.Header(weights.F16, shape)
	} else {
		head, err = safetensors.Header("features", weights.F16, shape, map[string]string{"encoder": w.Model})
	}
	if err != nil {
		return "", err
	}
	h := sha256.New()
	err = atomicfile.WriteFile(path, func(out io.Writer) error {
		both := io.MultiWriter(out, h)
		if _, err := both.Write(head); err != nil {
			return err
		}
		for i := from; i < to; i++ {
			if _, err := both.Write(f.Row(i)); err != nil {
				return err
			}
		}
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// outName is the name of file k of n, without what its format adds.
func outName(k, n int) string {
	if n == 1 {
		return "features"
	}
	return fmt.Sprintf("features-%05d-of-%05d", k, n)
}

// existing says whether a folder holds something that would be mixed up with what is to be written.
func existing(folder string) bool {
	for _, pattern := range []string{"features*.npy", "features*.safetensors", "index.jsonl", "SHA256SUMS"} {
		if found, _ := filepath.Glob(filepath.Join(folder, pattern)); len(found) > 0 {
			return true
		}
	}
	return false
}
