// Package resample scales packed RGB images by Pillow's bicubic or bilinear, byte for
// byte: two passes of weights in 22-bit fixed point, rows first, with a cut to
// 8 bits between them; and by its nearest, for colors that cannot be mixed.
// Package image is its only user; it adds the sizes and crops that models want.
//
// The passes exist twice: in Go, and in C with AVX2 for builds with cgo. Both
// give the same bytes; a fuzz test holds them to a third, plain definition. Grey
// of 16 bits goes through passes of its own, in floating point.
package resample

import "math"

// precision is the number of fraction bits of a weight: what an int32 leaves
// when 8 bits of pixel and 2 bits of overshoot are taken off.
const precision = 32 - 8 - 2

// axis says how each output position of one axis is made of input positions:
// output i is the sum of weight[i*stride+j] * input[first[i]+j], j < count[i].
// stride is a multiple of 4 and weights past count are 0, so a pass may run
// over whole groups of four.
type axis struct {
	first, count []int32
	weight       []int32
	stride       int
}

// newAxis makes the weights of outputs lo..hi of an axis scaled from in to out
// positions.
func newAxis(f Filter, in, out, lo, hi int) axis {
	k := f.over(in, out)
	n := hi - lo
	stride := (k.most() + 3) &^ 3
	a := axis{make([]int32, n), make([]int32, n), make([]int32, n*stride), stride}
	w := make([]float64, stride)
	for i := range n {
		first, count := k.weigh(w, lo+i)
		a.first[i], a.count[i] = int32(first), int32(count)
		for j, v := range w[:count] {
			a.weight[i*stride+j] = int32(math.Round(float64(v * (1 << precision))))
		}
	}
	return a
}

// stretched is a filter over an axis. The kernel is stretched by the scale when
// the image shrinks, so every input counts; an output of the cubic needs at
// most 4*scale+2 inputs.
type stretched struct {
	in                      int
	scale, stretch, support float64
	kernel                  func(float64) float64
}

func (f Filter) over(in, out int) stretched {
	kernel, reach := f.kernel()
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	return stretched{in, scale, stretch, reach * stretch, kernel}
}

// most is how many inputs an output may need.
func (k stretched) most() int { return min(int(math.Ceil(k.support))*2+1, k.in) }

// weigh writes the weights of output i to w, to a sum of 1, and returns the first
// of the inputs that they are of, and how many those are.
func (k stretched) weigh(w []float64, i int) (first, count int) {
	// float64() keeps each product rounded: a fused multiply-add would
	// give other last bits than Pillow's on some processors.
	center := float64((float64(i) + 0.5) * k.scale)
	first = max(int(center-k.support+0.5), 0)
	count = min(int(center+k.support+0.5), k.in) - first
	w, kernel, shrink, sum := w[:count], k.kernel, 1/k.stretch, 0.0
	for j := range w {
		w[j] = kernel(float64((float64(j+first) - center + 0.5) * shrink))
		sum += w[j]
	}
	if sum != 0 {
		for j := range w {
			w[j] /= sum
		}
	}
	return first, count
}

// Filter is how a position between pixels is read.
type Filter int

// Pillow's filters.
const (
	Cubic  Filter = iota // Image.Resampling.BICUBIC
	Linear               // Image.Resampling.BILINEAR
)

// kernel gives the weight of a pixel at a distance, and the distance from which on that is 0.
func (f Filter) kernel() (weight func(float64) float64, reach float64) {
	if f == Linear {
		return triangle, 1
	}
	return cubic, 2
}

func triangle(x float64) float64 { return max(1-math.Abs(x), 0) }

// cubic is Keys' cubic convolution kernel with a = -1/2 (Keys 1981, eq. 4),
// with the order of operations that Pillow uses.
func cubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return float64(float64((float64((a+2)*x)-(a+3))*x)*x) + 1
	case x < 2:
		return (float64((float64((x-5)*x)+8)*x) - 4) * a
	}
	return 0
}
