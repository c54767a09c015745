package input

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"

	"captioner/cli/console"
	"captioner/weights"
	"captioner/weights/npy"
	"captioner/weights/plural"
	"captioner/weights/safetensors"
)

// Rows are the rows of a file of them.
type Rows struct {
	path  string
	Src   weights.Source
	parts []embeddingPart
	N     int   // rows in all
	Stamp Stamp // of the file
}

// NoPicture stands where an image that is not a file of its own is read.
func (e *Rows) NoPicture(context.Context) ([]byte, error) {
	return nil, fmt.Errorf("read embeddings %q: found no image", e.path)
}

// embeddingPart is a tensor with a row an image.
type embeddingPart struct {
	weights.NamedTensor
	named bool // its rows carry its name
	rows  int
	each  int // numbers a row
}

// OpenRows opens a .npy file, an array with a row an image; or a .safetensors file of such arrays, by its content.
func OpenRows(path string) (*Rows, error) {
	var begin [8]byte
	f, err := os.Open(path)
	if err != nil {
		return nil, console.WithHint(fmt.Errorf("open embeddings %q: %w", path, weights.Reason(err)), "check the spelling")
	}
	n, _ := f.Read(begin[:])
	f.Close()
	e := &Rows{path: path}
	if info, err := os.Stat(path); err == nil {
		e.Stamp = StampOf(info)
	}
	if npy.Is(begin[:n]) {
		e.Src, err = npy.Open(path)
	} else {
		e.Src, err = safetensors.Open(path)
	}
	if err != nil {
		return nil, console.WithHint(err, "want numpy.save's .npy, or .safetensors, with a row an image")
	}
	for _, name := range e.Src.Names() {
		t, err := e.Src.Tensor(name)
		if err == nil && !t.DType.Float() {
			err = fmt.Errorf("tensor %q of %v, want floating-point numbers", name, t.DType)
		}
		if err != nil {
			e.Src.Close()
			return nil, fmt.Errorf("read embeddings %q: %w", path, err)
		}
		e.parts = append(e.parts, embeddingPart{NamedTensor: t, named: name != npy.Name &&
			(len(e.Src.Names()) > 1 || name != "embeddings" && name != "features")})
	}
	return e, nil
}

// Fit finds the rows: a tensor is one of them where it has no more numbers than an image, else its first dimension
// counts them. (N, 1, width), as Python's data sets have it, and (N, places, width) are alike. A model that pads takes
// rows of fewer numbers.
func (e *Rows) Fit(places, width int, pads bool) error {
	for i := range e.parts {
		p := &e.parts[i]
		n, err := weights.Elements(p.Shape)
		if err != nil {
			return fmt.Errorf("read embeddings %q: %w", e.path, err)
		}
		p.rows, p.each = 1, int(n)
		if len(p.Shape) > 1 && (len(p.Shape) > 2 || places == 1) {
			p.rows = int(p.Shape[0])
			p.each = int(n) / max(p.rows, 1)
		}
		switch {
		case p.rows == 0 || p.each == places*width || pads && 0 < p.each && p.each < width:
		case pads:
			return console.WithHint(fmt.Errorf("read embeddings %q: tensor %q of shape %v, want rows of at most %s",
				e.path, p.Name, p.Shape, plural.Count(width, "number")),
				"the decoder is %d wide and sees no more of an image", width)
		default:
			return console.WithHint(fmt.Errorf("read embeddings %q: tensor %q of shape %v, want rows of %d places with %d "+
				"numbers each", e.path, p.Name, p.Shape, places, width),
				"the model captions what the encoder that it was trained with gives, and nothing else")
		}
		e.N += p.rows
	}
	return nil
}

// at finds row i of all.
func (e *Rows) at(i int) (*embeddingPart, int) {
	for k := range e.parts {
		if i < e.parts[k].rows {
			return &e.parts[k], i
		}
		i -= e.parts[k].rows
	}
	return nil, 0 // i is below n
}

// Name is what stands for row i in the output: its number, behind the tensor's name where there are several.
func (e *Rows) Name(i int) string {
	p, at := e.at(i)
	switch {
	case !p.named:
		return fmt.Sprint(at)
	case p.rows == 1:
		return p.Name
	}
	return fmt.Sprintf("%s#%d", p.Name, at)
}

// Row is row i in float32. Numbers that are not finite are refused.
func (e *Rows) Row(i int) ([]float32, error) {
	p, at := e.at(i)
	size := p.each * p.DType.Size()
	t := weights.NamedTensor{Name: p.Name, DType: p.DType, Shape: []int64{int64(p.each)},
		Data: bytes.Clone(p.Data[at*size : (at+1)*size])}
	x, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	for k, v := range x {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fmt.Errorf("embedding %s of %q: number %d is %g, want finite ones", e.Name(i), e.path, k, v)
		}
	}
	return x, nil
}
