// Package inspect says what a file of weights is, and whether it is whole.
package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/published"
	"captioner/models/captioner/demo"
	"captioner/models/checkpoint"
	"captioner/models/encoder"
	"captioner/weights"
	"captioner/weights/formats"
	"captioner/weights/pickle"
	"captioner/weights/safetensors"
)

// Options are what the flags of weights inspect say.
type Options struct {
	Path    string // "" is the built-in model
	Heads   flags.Heads
	Tensors bool
}

// inspection is what "weights inspect --json" prints.
type inspection struct {
	Path       string `json:"path"`
	Format     string `json:"format"`
	Bytes      int64  `json:"bytes"`
	Count      int    `json:"tensor_count"`
	Parameters int64  `json:"parameters"`
	account
	Metadata map[string]json.RawMessage `json:"metadata,omitempty"`
	Tensors  []tensorLine               `json:"tensors,omitempty"`
}

type tensorLine struct {
	Name  string  `json:"name"`
	DType string  `json:"dtype"`
	Shape []int64 `json:"shape"`
}

// Run prints what a file of weights is, with its metadata and tensors.
func Run(con *console.Console, o Options) error {
	known, err := o.Heads.Architectures()
	if err != nil {
		return err
	}
	path, err := published.Here(con, o.Path)
	if err != nil {
		return err
	}
	src, format, err := OpenWeights(path)
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	defer src.Close()
	in := inspection{Path: o.Path, Format: format, Bytes: int64(len(demo.Model)),
		Metadata: make(map[string]json.RawMessage)}
	if path == "" {
		in.Path = "demo"
	} else if info, err := os.Stat(weightsFile(path)); err == nil {
		in.Bytes = info.Size()
	}
	in.account = accountFor(path, src, known)
	if err := known.Heads.Unused(encoder.Parts...); err != nil {
		return err
	}
	tied := repeated(src)
	for _, name := range src.Names() {
		t, err := src.Tensor(name)
		if err != nil {
			return fmt.Errorf("inspect %q: tensor %q: %w", in.Path, name, err)
		}
		n, err := weights.Elements(t.Shape)
		if err != nil {
			return fmt.Errorf("inspect %q: tensor %q: %w", in.Path, name, err)
		}
		in.Count++
		if t.DType.Float() && !tied[name] {
			in.Parameters += n
		}
		if o.Tensors {
			in.Tensors = append(in.Tensors, tensorLine{t.Name, t.DType.String(), append([]int64{}, t.Shape...)})
		}
	}
	for key, value := range src.Metadata() {
		in.Metadata[key] = described(key, value)
	}
	if con.Options.JSON {
		return console.WriteJSON(con.Stdout, in)
	}
	return in.print(con.Stdout)
}

// repeated are the tensors that share their memory with one before them, such as an output layer with the embedding.
func repeated(src weights.Source) map[string]bool {
	again := make(map[string]bool)
	if p, ok := src.(*pickle.File); ok {
		for _, names := range p.Ties() {
			for _, n := range names[1:] {
				again[n] = true
			}
		}
	}
	return again
}

// OpenWeights opens a file, or a folder of Hugging Face, by what it holds and not by its name; "" is the built-in
// model.
func OpenWeights(path string) (weights.Source, string, error) {
	if path == "" {
		f, err := safetensors.Parse(demo.Model)
		return f, "safetensors", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", console.WithHint(&fs.PathError{Op: "open", Path: path, Err: weights.Reason(err)},
			"check the spelling; a relative path starts at the current folder")
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return nil, "", fmt.Errorf("open %q: it is a %s, want a file", path, weights.FileKind(info.Mode()))
	}
	src, err := formats.Open(path)
	var unknown *formats.UnknownError
	switch {
	case errors.As(err, &unknown) && strings.EqualFold(filepath.Ext(unknown.Path), ".safetensors"):
		return nil, "", console.WithHint(unknown.SafeTensors, "the file is damaged: fetch or copy it again")
	case errors.As(err, &unknown):
		return nil, "", console.WithHint(fmt.Errorf("open %q: found neither a safetensors nor a PyTorch file: %w", path,
			errors.Join(unknown.SafeTensors, unknown.Pickle)),
			"captioner reads .safetensors, and .pt, .pth, .ckpt and .bin of PyTorch")
	case err != nil && info.IsDir() && weightsFile(path) == path:
		return nil, "", console.WithHint(err, "captioner reads a file of weights, or a folder as save_pretrained writes it")
	case err != nil:
		return nil, "", console.WithHint(err, "the file is damaged: fetch or copy it again")
	}
	if _, ok := src.(*pickle.File); ok {
		return src, "pytorch", nil
	}
	return src, "safetensors", nil
}

// described is a metadata value for people: JSON as it is, a tokenizer by its size, all else as a string.
func described(key, value string) json.RawMessage {
	if key == weights.MetaTokenizer {
		return json.RawMessage(fmt.Sprintf(`{"bytes":%d}`, len(value)))
	}
	if json.Valid([]byte(value)) && strings.HasPrefix(value, "{") {
		return json.RawMessage(value)
	}
	b, err := console.MarshalJSON(value)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}

func (in *inspection) print(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tab, "file\t%s\nformat\t%s\nsize\t%d bytes\ntensors\t%d\nparameters\t%d\n", console.Visible(in.Path),
		in.Format, in.Bytes, in.Count, in.Parameters)
	for _, l := range in.lines() {
		fmt.Fprintf(tab, "%s\t%s\n", l[0], console.Visible(l[1]))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	if len(in.Metadata) > 0 {
		fmt.Fprintln(tab)
	}
	keys := make([]string, 0, len(in.Metadata))
	for k := range in.Metadata {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		printValue(tab, console.Visible(k), in.Metadata[k])
	}
	if len(in.Tensors) > 0 {
		fmt.Fprintln(tab)
	}
	for _, t := range in.Tensors {
		fmt.Fprintf(tab, "%s\t%s\t%v\n", console.Visible(t.Name), t.DType, t.Shape)
	}
	return tab.Flush()
}

// printValue prints an object as one line a member, and everything else as it is.
func printValue(w io.Writer, key string, value json.RawMessage) {
	d := json.NewDecoder(strings.NewReader(string(value)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		var s string
		if json.Unmarshal(value, &s) != nil {
			s = string(value)
		}
		fmt.Fprintf(w, "%s\t%s\n", key, console.Visible(s))
		return
	}
	for d.More() {
		name, err := d.Token()
		var member json.RawMessage
		if err != nil || d.Decode(&member) != nil {
			return
		}
		printValue(w, fmt.Sprintf("%s.%v", key, name), member)
	}
}

// weightsFile is the file of tensors, or the index of its parts, of a path that may be a folder of Hugging Face.
func weightsFile(path string) string {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return path
	}
	for _, name := range []string{"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
		"pytorch_model.bin.index.json",
		"open_clip_model.safetensors", "open_clip_pytorch_model.bin"} {
		if file := filepath.Join(path, name); fileThere(file) {
			return file
		}
	}
	return path
}

func fileThere(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// OpenDescribed opens a model without its weights; "" is the built-in one.
func OpenDescribed(path string, known *checkpoint.Architectures) (*checkpoint.Checkpoint, error) {
	if path == "" {
		return known.Parse(demo.Model)
	}
	return known.Open(path)
}
