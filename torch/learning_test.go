package torch_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"captioner/torch"
	"captioner/torch/torchtest"
)

// learned is what a function of leaves gives, weighed by fixed random numbers, and the gradients of the leaves.
type learned struct{ out, grads []*torch.Tensor }

// learnFrom runs f on copies of starts in type d.
func learnFrom(d torch.DType, starts []*torch.Tensor, f func(leaves []*torch.Tensor) []*torch.Tensor) learned {
	var l learned
	var leaves []*torch.Tensor
	for _, s := range starts {
		leaves = append(leaves, s.To(d).Detach().Clone().RequireGrad(true))
	}
	torch.Seed(7) // of the dropouts
	outs := f(leaves)
	torch.Seed(8)
	total := torch.Zeros(torch.Float32, torch.CPU)
	for _, o := range outs {
		weigh := torch.Randn(torch.Float32, torch.CPU, o.Shape()...)
		total = total.Add(o.To(torch.Float32).Mul(weigh).Sum())
		l.out = append(l.out, o.Detach().To(torch.Float32))
	}
	total.Backward()
	for _, x := range leaves {
		l.grads = append(l.grads, x.Grad().To(torch.Float32))
	}
	return l
}

// same compares what a kernel learns in type d with libtorch's operators in float32.
func same(t *testing.T, d torch.DType, got, want learned) {
	t.Helper()
	tol := torchtest.Tolerance{Rel: 1e-5}
	if d == torch.BFloat16 {
		tol.Rel = 2e-2
	}
	for i := range want.out {
		torchtest.CloseTo(t, fmt.Sprint("output ", i), got.out[i], want.out[i], tol)
	}
	for i := range want.grads {
		torchtest.CloseTo(t, fmt.Sprint("gradient ", i), got.grads[i], want.grads[i], tol)
	}
}

var learningTypes = []torch.DType{torch.Float32, torch.BFloat16}

// rounded are starts that bfloat16 holds exactly, so that both types learn from the same numbers.
func rounded(shape ...int64) *torch.Tensor {
	return torch.Randn(torch.Float32, torch.CPU, shape...).To(torch.BFloat16).To(torch.Float32)
}

func TestAddNormLearns(t *testing.T) {
	for _, d := range learningTypes {
		for _, p := range []float64{0, 0.25} {
			for _, shape := range [][2]int64{{70, 96}, {3, 50}, {1, 7}} {
				for _, uses := range []string{"both", "the sum", "the norm"} {
					t.Run(fmt.Sprint(d, p, shape, uses), func(t *testing.T) {
						torchtest.Do(t, func() { addNormLearns(t, d, p, shape, uses) })
					})
				}
			}
		}
	}
}

func addNormLearns(t *testing.T, d torch.DType, p float64, shape [2]int64, uses string) {
	torch.Seed(1)
	n, c := shape[0], shape[1]
	start := []*torch.Tensor{rounded(n, c), rounded(n, c), rounded(c), rounded(c)}
	used := func(sum, norm *torch.Tensor) []*torch.Tensor {
		switch uses {
		case "the sum":
			return []*torch.Tensor{sum}
		case "the norm":
			return []*torch.Tensor{norm}
		}
		return []*torch.Tensor{sum, norm}
	}
	want := learnFrom(torch.Float32, start, func(l []*torch.Tensor) []*torch.Tensor {
		sum := l[0].Add(l[1].Dropout(p))
		// all leaves have a part, so that each has a gradient
		norm := torch.LayerNorm(sum, []int64{c}, l[2], l[3], 1e-5)
		return used(sum.Add(norm.MulScalar(0)), norm)
	})
	got := learnFrom(torch.Float32, start, func(l []*torch.Tensor) (out []*torch.Tensor) {
		h := l[1].To(d)
		run := func() {
			sum, norm := torch.AddNorm(l[0], h, p, l[2], l[3], 1e-5)
			if norm.DType() != d || sum.DType() != torch.Float32 {
				t.Errorf("got types %v and %v, want float32 and %v", sum.DType(), norm.DType(), d)
			}
			out = used(sum, norm)
		}
		if d == torch.BFloat16 {
			torch.Autocast(torch.CPU, d, run)
		} else {
			run()
		}
		return out
	})
	same(t, d, got, want)
}

func TestGELULearns(t *testing.T) {
	for _, d := range learningTypes {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			torchtest.Do(t, func() {
				torch.Seed(1)
				start := []*torch.Tensor{rounded(9, 1031).MulScalar(3).To(torch.BFloat16).To(torch.Float32)}
				start = append(start, torch.FromSlice([]float32{0, -0.5, 20, -20, 100, -100}))
				run := func(l []*torch.Tensor) []*torch.Tensor {
					return []*torch.Tensor{l[0].GELU(true), l[1].GELU(true)}
				}
				want := learnFrom(torch.Float64, start, run)
				same(t, d, learnFrom(d, start, run), want)
			})
		})
	}
}

// The reference is softmax(q kᵀ/√D + mask) v by plain products, for each text by itself.
func TestCausalAttentionLearns(t *testing.T) {
	for _, tt := range []struct {
		name        string
		lengths     []int64
		length      int64
		heads, size int64
		hide        bool
		p           float64
	}{
		{"texts of many lengths", []int64{5, 1, 17, 40}, 40, 3, 64, false, 0},
		{"dropped weights", []int64{5, 1, 17, 40}, 41, 2, 16, false, 0.25},
		{"an odd head", []int64{7, 3}, 7, 2, 5, false, 0.25},
		{"hidden tokens", []int64{9, 9}, 9, 2, 64, true, 0.1},
		{"a text without tokens", []int64{3, 0, 2}, 4, 1, 8, false, 0},
	} {
		for _, d := range learningTypes {
			t.Run(fmt.Sprint(tt.name, d), func(t *testing.T) {
				torchtest.Do(t, func() {
					torch.Seed(1)
					starts, n := []int64{0}, int64(0)
					for _, l := range tt.lengths {
						n += l
						starts = append(starts, n)
					}
					seen := make([]bool, int64(len(tt.lengths))*tt.length)
					for i := range seen {
						seen[i] = !tt.hide || int64(i)%tt.length < 6
					}
					width := tt.heads * tt.size
					start := []*torch.Tensor{rounded(n, 3*width)}
					want := learnFrom(torch.Float32, start, func(l []*torch.Tensor) []*torch.Tensor {
						return plainAttention(l[0], starts, seen, tt.length, tt.heads, tt.size, tt.p)
					})
					got := learnFrom(d, start, func(l []*torch.Tensor) []*torch.Tensor {
						texts := torch.Texts{Starts: torch.FromSlice(starts), Length: tt.length}
						if tt.hide {
							texts.Seen = torch.FromSlice(seen, int64(len(tt.lengths)), tt.length)
						}
						y := torch.CausalAttention(l[0], texts, tt.heads, tt.p)
						return []*torch.Tensor{y}
					})
					same(t, d, got, want)
				})
			})
		}
	}
}

func plainAttention(
	qkv *torch.Tensor, starts []int64, seen []bool, length, heads, size int64, p float64,
) []*torch.Tensor {
	texts := int64(len(starts)) - 1
	keep := torch.Full(1, torch.Float32, torch.CPU, texts, heads, length, length).Dropout(p)
	var rows []*torch.Tensor
	for b := range texts {
		n := starts[b+1] - starts[b]
		if n == 0 {
			continue
		}
		x := qkv.Narrow(0, starts[b], n).View(n, 3, heads, size).Permute(1, 2, 0, 3) // [3, H, n, D]
		w := x.Select(0, 0).Matmul(x.Select(0, 1).Transpose(-1, -2)).MulScalar(1 / math.Sqrt(float64(size)))
		mask := make([]float32, n*n)
		for q := range n {
			for k := range n {
				if k > q || !seen[b*length+k] {
					mask[q*n+k] = float32(math.Inf(-1))
				}
			}
		}
		w = w.Add(torch.FromSlice(mask, n, n)).Softmax(-1)
		w = w.Mul(keep.Select(0, b).Narrow(1, 0, n).Narrow(2, 0, n))
		rows = append(rows, w.Matmul(x.Select(0, 2)).Transpose(0, 1).Reshape(n, heads*size))
	}
	return []*torch.Tensor{torch.Cat(0, rows...)}
}

// The reference is softmax(q kᵀ/√D) v by plain products, for each image by itself.
func TestCrossAttentionLearns(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		tokens                 []int64 // of each image
		positions, heads, size int64
		p                      float64
	}{
		{"a grid", []int64{5, 30, 1}, 81, 2, 64, 0},
		{"dropped weights", []int64{5, 30, 1}, 50, 3, 16, 0.25},
		{"an odd head", []int64{7, 3}, 2, 2, 5, 0.25},
		{"an image without tokens", []int64{3, 0, 2}, 17, 1, 8, 0},
	} {
		for _, d := range learningTypes {
			t.Run(fmt.Sprint(tt.name, d), func(t *testing.T) {
				torchtest.Do(t, func() {
					torch.Seed(1)
					starts, n, images := []int64{0}, int64(0), int64(len(tt.tokens))
					for _, l := range tt.tokens {
						n += l
						starts = append(starts, n)
					}
					width := tt.heads * tt.size
					start := []*torch.Tensor{rounded(n, width), rounded(images, tt.positions, 2*width)}
					want := learnFrom(torch.Float32, start, func(l []*torch.Tensor) []*torch.Tensor {
						return plainCrossAttention(l[0], l[1], starts, tt.heads, tt.size, tt.p)
					})
					got := learnFrom(d, start, func(l []*torch.Tensor) []*torch.Tensor {
						return []*torch.Tensor{torch.CrossAttention(l[0], l[1], starts, tt.heads, tt.p)}
					})
					same(t, d, got, want)
				})
			})
		}
	}
}

func plainCrossAttention(q, kv *torch.Tensor, starts []int64, heads, size int64, p float64) []*torch.Tensor {
	positions := kv.Dim(1)
	keep := torch.Full(1, torch.Float32, torch.CPU, q.Dim(0), heads, positions).Dropout(p)
	var rows []*torch.Tensor
	for g := range kv.Dim(0) {
		n := starts[g+1] - starts[g]
		if n == 0 {
			continue
		}
		x := kv.Select(0, g).View(positions, 2, heads, size).Permute(1, 2, 0, 3) // [2, H, P, D]
		asks := q.Narrow(0, starts[g], n).View(n, heads, size).Transpose(0, 1)   // [H, n, D]
		w := asks.Matmul(x.Select(0, 0).Transpose(-1, -2)).MulScalar(1 / math.Sqrt(float64(size))).Softmax(-1)
		w = w.Mul(keep.Narrow(0, starts[g], n).Transpose(0, 1)) // [H, n, P]
		rows = append(rows, w.Matmul(x.Select(0, 1)).Transpose(0, 1).Reshape(n, heads*size))
	}
	return []*torch.Tensor{torch.Cat(0, rows...)}
}

// The way back adds up in an order that does not hang on the number of threads.
func TestLearningRepeatsOnAnyThreads(t *testing.T) {
	torchtest.Do(t, func() {
		before := torch.Threads()
		defer torch.SetThreads(before)
		torch.Seed(1)
		start := []*torch.Tensor{rounded(200, 96), rounded(200, 96), rounded(96), rounded(96), rounded(200, 3*96),
			rounded(2, 40, 2*96)}
		run := func(threads int) string {
			torch.SetThreads(threads)
			l := learnFrom(torch.Float32, start, func(l []*torch.Tensor) []*torch.Tensor {
				sum, norm := torch.AddNorm(l[0], l[1], .1, l[2], l[3], 1e-5)
				texts := torch.Texts{Starts: torch.FromSlice([]int64{0, 50, 120, 200}), Length: 80}
				crossed := torch.CrossAttention(norm, l[5], []int64{0, 120, 200}, 3, .1)
				return []*torch.Tensor{sum, norm, torch.CausalAttention(l[4], texts, 2, .1), crossed}
			})
			var all [][]float32
			for _, x := range append(l.out, l.grads...) {
				all = append(all, torch.Slice[float32](x))
			}
			return fmt.Sprint(all)
		}
		one := run(1)
		for _, n := range []int{2, 3} {
			if run(n) != one {
				t.Errorf("%d threads give other bits than one", n)
			}
		}
	})
}

func TestZeroGradients(t *testing.T) {
	torchtest.Do(t, func() {
		x := torch.FromSlice([]float32{1, 2}).RequireGrad(true)
		a := torch.Full(1, torch.Float32, torch.CPU, 3).RequireGrad(true)
		b := torch.Full(1, torch.Float32, torch.CPU, 2, 2).RequireGrad(true)
		x.MulScalar(3).ZeroGradients(a, b).Sum().Backward()
		if got := fmt.Sprint(torch.Slice[float32](x.Grad()), torch.Slice[float32](a.Grad()),
			torch.Slice[float32](b.Grad())); got != "[3 3] [0 0 0] [0 0 0 0]" {
			t.Errorf("gradients: got %s", got)
		}
	})
}

func TestLearningRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, op string
		f        func()
	}{
		{"rows behind the texts", "causal attention", func() {
			x := torch.Zeros(torch.Float32, torch.CPU, 3, 6)
			torch.CausalAttention(x, torch.Texts{Starts: torch.FromSlice([]int64{0, 2}), Length: 2}, 1, 0)
		}},
		{"a text that is too long", "causal attention", func() {
			x := torch.Zeros(torch.Float32, torch.CPU, 3, 6)
			torch.CausalAttention(x, torch.Texts{Starts: torch.FromSlice([]int64{0, 3}), Length: 2}, 1, 0)
		}},
		{"heads that do not divide", "causal attention", func() {
			x := torch.Zeros(torch.Float32, torch.CPU, 3, 6)
			torch.CausalAttention(x, torch.Texts{Starts: torch.FromSlice([]int64{0, 3}), Length: 3}, 4, 0)
		}},
		{"tokens behind the images", "cross-attention", func() {
			q, kv := torch.Zeros(torch.Float32, torch.CPU, 3, 6), torch.Zeros(torch.Float32, torch.CPU, 1, 2, 12)
			torch.CrossAttention(q, kv, []int64{0, 2}, 1, 0)
		}},
		{"fewer starts than images", "cross-attention", func() {
			q, kv := torch.Zeros(torch.Float32, torch.CPU, 3, 6), torch.Zeros(torch.Float32, torch.CPU, 2, 2, 12)
			torch.CrossAttention(q, kv, []int64{0, 3}, 1, 0)
		}},
		{"keys of another width", "cross-attention", func() {
			q, kv := torch.Zeros(torch.Float32, torch.CPU, 3, 6), torch.Zeros(torch.Float32, torch.CPU, 1, 2, 10)
			torch.CrossAttention(q, kv, []int64{0, 3}, 1, 0)
		}},
		{"a row to draw from that is not there", "draw tokens", func() {
			torch.DrawTokens(torch.Zeros(torch.Float32, torch.CPU, 3, 6), []int64{3}, []float32{.5}, 1)
		}},
		{"a norm of another width", "add and norm", func() {
			x, w := torch.Zeros(torch.Float32, torch.CPU, 3, 6), torch.Zeros(torch.Float32, torch.CPU, 5)
			torch.AddNorm(x, x, 0, w, w, 1e-5)
		}},
		{"a probability of 1", "add and norm", func() {
			x, w := torch.Zeros(torch.Float32, torch.CPU, 3, 6), torch.Zeros(torch.Float32, torch.CPU, 6)
			torch.AddNorm(x, x, 1, w, w, 1e-5)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var op *torch.OpError
			err := torch.Do(context.Background(), func() error { tt.f(); return nil })
			if !errors.As(err, &op) || op.Op != tt.op {
				t.Errorf("got %v, want an OpError of %s", err, tt.op)
			}
		})
	}
}
