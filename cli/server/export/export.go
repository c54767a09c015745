// Package export makes files of captions that somebody has read and changed on the page: what predict writes, made of
// what a browser holds.
package export

import (
	"bytes"
	"encoding/json"
	"fmt"

	"captioner/data/metadata/xmp"
	"captioner/data/parquet"
)

// Caption is a caption as the page has it, with the names of captioner's JSON lines.
type Caption struct {
	Path       string    `json:"path"`
	Caption    string    `json:"caption"`
	LogProb    *float64  `json:"logprob"`
	Confidence *float64  `json:"confidence"`
	Model      string    `json:"model"`
	Keywords   []Keyword `json:"keywords,omitempty"`
}

// Keyword is a word of a caption.
type Keyword struct {
	Keyword     string  `json:"keyword"`
	Probability float64 `json:"probability"`
}

// Sidecar is a file of XMP for an image.
type Sidecar struct {
	Path string `json:"path"` // of the image
	XMP  string `json:"xmp"`
}

// Formats are the words for Write.
var Formats = []string{"parquet", "xmp"}

// Write makes a file of captions in one of Formats, and gives its content type: of Parquet a table, of XMP an object of
// sidecars in JSON. tool is the program that XMP names.
func Write(format string, all []Caption, tool string) (b []byte, kind string, err error) {
	if format == "parquet" {
		b, err = Parquet(all)
		return b, "application/vnd.apache.parquet", err
	}
	sidecars, err := XMP(all, tool)
	if err != nil {
		return nil, "", err
	}
	b, err = json.Marshal(struct {
		Sidecars []Sidecar `json:"sidecars"`
	}{sidecars})
	return b, "application/json", err
}

// Parquet is a table of captions, as predict writes it.
func Parquet(all []Caption) ([]byte, error) {
	var b bytes.Buffer
	w := parquet.NewWriter(&b)
	lines := json.NewEncoder(w)
	for _, c := range all {
		if err := lines.Encode(c); err != nil {
			return nil, fmt.Errorf("write Parquet: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write Parquet: %w", err)
	}
	return b.Bytes(), nil
}

// XMP makes a sidecar for each image, as predict does; tool is the program that it names.
func XMP(all []Caption, tool string) ([]Sidecar, error) {
	out := make([]Sidecar, len(all))
	for i, c := range all {
		e := xmp.Edit{Text: c.Caption, Tool: tool}
		for _, k := range c.Keywords {
			e.Keywords = append(e.Keywords, k.Keyword)
		}
		b, err := xmp.Merge(nil, e)
		if err != nil {
			return nil, err
		}
		out[i] = Sidecar{c.Path, string(b)}
	}
	return out, nil
}
