package nn

import (
	"fmt"
	"slices"
	"strings"

	"captioner/torch"
)

// Engine is what makes the products of a layer that is prepared for inference on a CPU.
type Engine string

// The engines.
const (
	Own    Engine = "own"    // this program's panels: torch.Panels
	OneDNN Engine = "onednn" // oneDNN with packed weights; with int8, for large products alone
	MKL    Engine = "mkl"    // libtorch's linear layer, which is MKL's in float32; int8 stays with Own
	// Shapes whose rows would not be the same bits in every batch stay with Own, where it has kernels.
)

// Engines are all of them.
var Engines = []Engine{Own, OneDNN, MKL}

// Use is what a layer is for.
type Use string

// The uses: hundreds of rows at a time, or few; and layers that learn, which torch.Linear makes.
const (
	Encoder  Use = "encoder"
	Decoder  Use = "decoder"
	Learning Use = "learning"
)

// Kernels choose the engine of each layer [out, in] in type d. "" leaves it to the default.
type Kernels interface {
	Engine(d torch.DType, use Use, in, out int64) Engine
	String() string
}

// Fixed is one choice for every shape and type.
type Fixed struct{ Encoder, Decoder Engine }

// Engine is the choice for a use.
func (f Fixed) Engine(_ torch.DType, use Use, _, _ int64) Engine {
	if use == Encoder {
		return f.Encoder
	}
	return f.Decoder
}

// String is what ParseFixed reads: "onednn/own".
func (f Fixed) String() string {
	if f == (Fixed{}) {
		return "default"
	}
	return string(f.Encoder) + "/" + string(f.Decoder)
}

// ParseFixed reads an engine for all, or one for the encoder and one for the decoder: "own", "onednn/own".
func ParseFixed(s string) (Fixed, error) {
	encoder, decoder, two := strings.Cut(s, "/")
	if !two {
		decoder = encoder
	}
	f := Fixed{Engine(encoder), Engine(decoder)}
	if !slices.Contains(Engines, f.Encoder) || !slices.Contains(Engines, f.Decoder) {
		return Fixed{}, fmt.Errorf("kernels: found %q, want own, onednn, mkl, or two of them as ENCODER/DECODER", s)
	}
	return f, nil
}

// kernels is the choice for the layers that are prepared from now on. Only the torch thread uses it.
var kernels Kernels = Fixed{}

// handOver is from how many rows on oneDNN makes int8 products, where it is chosen: below, its setting up costs more
// than its instructions gain.
const handOver = 48

// SetKernels sets how the layers choose that are prepared from now on; nil is the default: Own wherever it has kernels,
// but OneDNN for bfloat16 on processors with AMX. It runs inside torch.Do.
func SetKernels(k Kernels) {
	if k == nil {
		k = Fixed{}
	}
	kernels = k
	torch.HandOver(0)
}

// DefaultEngine is the engine of type d where nothing else is said. With OneDNN int8 means Own.
func DefaultEngine(d torch.DType) Engine {
	if torch.HasPanels(d) && !(d == torch.BFloat16 && torch.HasISA("amx")) || d == torch.Int8 {
		return Own
	}
	return OneDNN
}

// shape is what decides whether an engine is steady.
type shape struct {
	engine  Engine
	dtype   torch.DType
	in, out int64
}

// steady are the shapes whose engine was tried. Only the torch thread uses it.
var steady = make(map[shape]bool)

// SameBits says whether a row's result is the same bits whatever rows stand beside it, as captions promise. The panels
// are made so; of the other engines it is tried, on numbers that look random, once a shape.
func (l *Packed) SameBits(e Engine, in, out int64) bool {
	if e == Own {
		return true
	}
	s := shape{e, l.dtype, in, out}
	same, tried := steady[s]
	if !tried {
		torch.NoGrad(func() { torch.Scoped(func() { same = l.trySameBits(in) }) })
		steady[s] = same
	}
	return same
}

func (l *Packed) trySameBits(in int64) bool {
	const most = 96
	x := Noise(most, in)
	of := func(rows int64) []float32 {
		return torch.Slice[float32](l.ForwardFloat32(x.Narrow(0, 0, rows), nil, nil))
	}
	all := of(most)
	for _, rows := range []int64{1, 3, 8, 13, 50} {
		if some := of(rows); !slices.Equal(some, all[:len(some)]) {
			return false
		}
	}
	return true
}

// Noise is a tensor of numbers from -1 to 1 that look random, the same every time. torch.Randn would move the random
// numbers of the run.
func Noise(shape ...int64) *torch.Tensor {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	x, state := make([]float32, n), uint32(1)
	for i := range x {
		state = state*1664525 + 1013904223
		x[i] = float32(int32(state)) / (1 << 31)
	}
	return torch.FromSlice(x, shape...)
}

// engine is the engine of a layer.
func engine(d torch.DType, use Use, weight *torch.Tensor) Engine {
	e := kernels.Engine(d, use, weight.Dim(1), weight.Dim(0))
	if e == "" || e == Own && !torch.HasPanels(d) && d != torch.Int8 {
		return DefaultEngine(d)
	}
	return e
}
