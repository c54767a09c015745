package weights

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Shapes reads the sizes of a model off the shapes of its tensors. It keeps the first error, so that sizes can be asked
// for one after the other and Err be looked at once.
type Shapes struct {
	src   Source
	names []string
	err   error
}

// ShapesOf begins to read.
func ShapesOf(src Source) *Shapes { return &Shapes{src: src, names: src.Names()} }

// Has says whether there is a tensor of this name.
func (s *Shapes) Has(name string) bool { return slices.Contains(s.names, name) }

// Of is the shape of a tensor with this many dimensions. Where there is no such tensor, it is zeros, and Err says why.
func (s *Shapes) Of(name string, dimensions int) []int64 {
	t, err := s.src.Tensor(name)
	if err == nil && len(t.Shape) != dimensions {
		err = fmt.Errorf("tensor %q: shape %v, want %d dimensions", name, t.Shape, dimensions)
	}
	if err != nil {
		s.fail(err)
		return make([]int64, dimensions)
	}
	return t.Shape
}

// Blocks counts the numbered parts of a model whose names begin with the prefix, as in "blocks.11.norm.weight" below
// "blocks.": one more than the highest number. A number beyond the count of all tensors belongs to no whole model: it
// is left out here, and a strict load names it.
func (s *Shapes) Blocks(prefix string) int {
	n := 0
	for _, name := range s.names {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(rest, ".")
		if i, err := strconv.Atoi(number); err == nil && i >= n && i < len(s.names) {
			n = i + 1
		}
	}
	return n
}

// GridSide is the side of the square grid of patches that positions are for, behind those of a few other tokens. The
// name is that of the tensor of positions, for the error.
func (s *Shapes) GridSide(name string, positions, others int64) int64 {
	side := int64(math.Round(math.Sqrt(float64(max(positions-others, 0)))))
	if side*side+others != positions {
		want := "a square"
		if others > 0 {
			want = fmt.Sprintf("a square and %d more", others)
		}
		s.fail(fmt.Errorf("tensor %q: %d positions, want %s", name, positions, want))
	}
	return side
}

func (s *Shapes) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// Err is the first error, nil if there was none.
func (s *Shapes) Err() error { return s.err }
