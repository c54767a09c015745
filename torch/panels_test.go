package torch_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"captioner/torch"
	"captioner/torch/torchtest"
)

// kinds are the types of panels that this processor has, each with what rounding may do to a result, as a share of its
// largest value.
func kinds() map[torch.DType]float64 {
	out := map[torch.DType]float64{torch.Int8: 2e-2}
	for d, tol := range map[torch.DType]float64{torch.Float32: 2e-6, torch.BFloat16: 1e-2} {
		if torch.HasPanels(d) {
			out[d] = tol
		}
	}
	return out
}

// onEachISA runs f with the kernels of every processor that this one can stand for.
func onEachISA(t *testing.T, f func(t *testing.T)) {
	for _, isa := range torch.ISAs {
		t.Run(isa, func(t *testing.T) {
			if err := torch.LimitISA(isa); err != nil {
				t.Fatal(err)
			}
			defer torch.LimitISA("all")
			if isa != "plain" && !torch.HasISA(isa) {
				t.Skip("this processor has no " + isa)
			}
			f(t)
		})
	}
}

func activate(x *torch.Tensor, act torch.Activation) *torch.Tensor {
	switch act {
	case torch.GELUErf:
		return x.GELU(false)
	case torch.GELUTanh:
		return x.GELU(true)
	case torch.ReLU:
		return x.Relu()
	case torch.SiLU:
		return x.Mul(x.Sigmoid())
	}
	return x
}

func TestPanels(t *testing.T) { onEachISA(t, testPanels) }

func testPanels(t *testing.T) {
	for kind, tol := range kinds() {
		for _, s := range []struct{ rows, in, out int64 }{
			{1, 1, 1}, {3, 7, 33}, {12, 64, 32}, {13, 66, 95}, {50, 768, 70}, {200, 130, 257},
		} {
			for act := torch.NoActivation; act <= torch.SiLU; act++ {
				t.Run(fmt.Sprintf("%v/%+v/%d", kind, s, act), func(t *testing.T) {
					torchtest.Do(t, func() {
						torch.Seed(3)
						randn := func(shape ...int64) *torch.Tensor { return torch.Randn(torch.Float32, torch.CPU, shape...) }
						x, w, bias, residual := randn(
							s.rows,
							s.in,
						), randn(
							s.in,
							s.out,
						).Transpose(0, 1),
							randn(
								s.out,
							), randn(
								s.rows,
								s.out,
							)
						nw, nb := randn(s.in), randn(s.in)
						p := torch.NewPanels(w, kind)
						defer p.Free()
						got := p.Product(
							x,
							torch.Fused{NormWeight: nw, NormBias: nb, Epsilon: 1e-5, Bias: bias, Act: act, Residual: residual},
						)
						want := activate(torch.Linear(torch.LayerNorm(x, []int64{s.in}, nw, nb, 1e-5), w, bias), act).Add(residual)
						torchtest.CloseTo(t, "all", got, want, torchtest.Tolerance{Rel: tol})
						half := p.Product(x.To(torch.BFloat16), torch.Fused{BFloat16: true})
						if half.DType() != torch.BFloat16 {
							t.Errorf("found a result in %v, want bfloat16", half.DType())
						}
						want = torch.Linear(x.To(torch.BFloat16).To(torch.Float32), w, nil)
						torchtest.CloseTo(t, "bfloat16", half.To(torch.Float32), want, torchtest.Tolerance{Rel: tol + 8e-3})
					})
				})
			}
		}
	}
}

// TestPanelsRows checks that a row's result is the same bits whatever rows stand beside it.
func TestPanelsRows(t *testing.T) { onEachISA(t, testPanelsRows) }

func testPanelsRows(t *testing.T) {
	for kind := range kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			torchtest.Do(t, func() {
				torch.Seed(4)
				x, w := torch.Randn(torch.Float32, torch.CPU, 301, 100), torch.Randn(torch.Float32, torch.CPU, 333, 100)
				ones, zeros := torch.Full(1, torch.Float32, torch.CPU, 100), torch.Zeros(torch.Float32, torch.CPU, 100)
				p := torch.NewPanels(w, kind)
				defer p.Free()
				f := torch.Fused{NormWeight: ones, NormBias: zeros, Epsilon: 1e-5, Act: torch.GELUTanh}
				all := torch.Slice[float32](p.Product(x, f))
				for _, part := range [][2]int64{{0, 1}, {7, 1}, {5, 13}, {100, 64}, {300, 1}} {
					some := torch.Slice[float32](p.Product(x.Narrow(0, part[0], part[1]), f))
					for i, v := range some {
						if at := int(part[0])*333 + i; v != all[at] {
							t.Fatalf("rows %v: number %d is %g alone and %g among all", part, i, v, all[at])
						}
					}
				}
			})
		})
	}
}

// TestPanelsOfHalves checks that weights in narrower types, in every order in memory, are laid out as their values are
// in float32: all finite numbers of float16 among them, in a last panel that is not full.
func TestPanelsOfHalves(t *testing.T) {
	const out, in = 4 * 62, 1024 / 4 // 1024 fractions of 31 exponents with two signs
	values := make([]float32, out*in)
	for i := range values {
		exponent, fraction := i/1024%31, float64(i%1024)/1024
		if exponent == 0 {
			exponent = 1 // without the one before the point
		} else {
			fraction++
		}
		values[i] = float32(math.Ldexp(fraction, exponent-15) * float64(1-i/1024/31*2))
	}
	orders := map[string]func(w *torch.Tensor) *torch.Tensor{
		"rows":    func(w *torch.Tensor) *torch.Tensor { return w.Contiguous() },
		"columns": func(w *torch.Tensor) *torch.Tensor { return w.Transpose(0, 1).Contiguous().Transpose(0, 1) },
		"gaps": func(w *torch.Tensor) *torch.Tensor {
			return torch.Stack(2, w, w.MulScalar(2)).Select(2, 0)
		},
	}
	for kind := range kinds() {
		for name, order := range orders {
			for _, d := range []torch.DType{torch.Float16, torch.BFloat16, torch.Float64} {
				t.Run(fmt.Sprintf("%v/%s/%v", kind, name, d), func(t *testing.T) {
					torchtest.Do(t, func() {
						torch.Seed(6)
						stored := torch.FromSlice(values, out, in).To(d)
						x := torch.Randn(torch.Float32, torch.CPU, 5, in-1)
						product := func(w *torch.Tensor) []float32 {
							p := torch.NewPanels(w.Narrow(1, 0, in-1), kind)
							defer p.Free()
							return torch.Slice[float32](p.Product(x, torch.Fused{}))
						}
						want := product(orders["columns"](stored.To(torch.Float32)))
						if got := product(order(stored)); !slices.Equal(got, want) {
							t.Errorf("got %v ..., want %v ...", got[:4], want[:4])
						}
					})
				})
			}
		}
	}
}

// TestPanelsEqual checks that every processor's int8 sums are the same numbers, and oneDNN's as well: they are whole.
// Inputs that are whole numbers are prepared alike everywhere.
func TestPanelsEqual(t *testing.T) {
	const in, out = 70, 65
	want := make(map[int64][]float32)
	product := func(rows int64) (got []float32) {
		whole := make([]float32, rows*in)
		for i := range whole {
			whole[i] = float32(i*i*37%256 - 127)
		}
		for r := range rows { // a row's range is 255, so that its scale is 1
			whole[r*in], whole[r*in+1] = -127, 128
		}
		torchtest.Do(t, func() {
			torch.Seed(5)
			x := torch.FromSlice(whole, rows, in)
			w := torch.Randn(torch.Float32, torch.CPU, out, in)
			p := torch.NewPanels(w, torch.Int8)
			defer p.Free()
			got = torch.Slice[float32](p.Product(x, torch.Fused{}))
		})
		return got
	}
	check := func(t *testing.T) {
		for _, rows := range []int64{1, 30} {
			got := product(rows)
			if want[rows] == nil {
				want[rows] = got
			}
			for i, v := range got {
				if w := want[rows][i]; math.Abs(float64(v-w)) > 1e-6*math.Abs(float64(w)) {
					t.Fatalf("%d rows, number %d: got %g, want %g", rows, i, v, w)
				}
			}
		}
	}
	onEachISA(t, check)
	t.Run("oneDNN", func(t *testing.T) {
		alone := product(30)
		torch.HandOver(1)
		defer torch.HandOver(0)
		if got := product(30); !slices.Equal(got, alone) {
			t.Errorf("oneDNN gives other bits than the panels")
		}
	})
}

func TestPanelsTopK(t *testing.T) { onEachISA(t, testPanelsTopK) }

func testPanelsTopK(t *testing.T) {
	for kind := range kinds() {
		for _, s := range []struct{ rows, in, out int64 }{{1, 8, 5}, {3, 30, 1000}, {40, 64, 5000}} {
			t.Run(fmt.Sprintf("%v/%+v", kind, s), func(t *testing.T) {
				torchtest.Do(t, func() {
					torch.Seed(7)
					x, w := torch.Randn(
						torch.Float32,
						torch.CPU,
						s.rows,
						s.in,
					), torch.Randn(torch.Float32, torch.CPU, s.out, s.in).
						MulScalar(.3)
					w.Narrow(0, 3, 1).Copy(w.Narrow(0, 1, 1)) // a tie
					f := torch.Fused{
						NormWeight: torch.Full(1, torch.Float32, torch.CPU, s.in),
						NormBias:   torch.Full(.1, torch.Float32, torch.CPU, s.in),
						Epsilon:    1e-5,
					}
					p := torch.NewPanels(w, kind)
					defer p.Free()
					for _, ban := range [][][]int32{nil, {{0, 1, 2}, {4}}, {nil, nil, {int32(s.out) - 1}}} {
						k := min(5, int(s.out))
						ids, logs := p.TopKLogProbs(x, f, k, ban)
						wantIDs, wantLogs := torch.TopKLogProbs(p.Product(x, f), k, 1, ban)
						for i := range wantIDs {
							same := wantIDs[i] < 0 && math.IsInf(float64(logs[i]), -1) || math.Abs(float64(logs[i]-wantLogs[i])) < 1e-5
							if ids[i] != wantIDs[i] || !same {
								t.Fatalf(
									"ban %v, number %d: got token %d at %g, want %d at %g",
									ban,
									i,
									ids[i],
									logs[i],
									wantIDs[i],
									wantLogs[i],
								)
							}
						}
					}
				})
			})
		}
	}
}

func TestHeadAttention(t *testing.T) { onEachISA(t, testHeadAttention) }

func testHeadAttention(t *testing.T) {
	if !torch.HasPanels(torch.Float32) {
		t.Skip("no kernels without AVX2")
	}
	for _, s := range []struct{ batch, tokens, heads, size int64 }{
		{1, 1, 1, 1}, {2, 50, 3, 64}, {1, 33, 2, 80}, {3, 5, 4, 24}, {1, 197, 2, 64}, {1, 577, 2, 64},
	} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			torchtest.Do(t, func() {
				torch.Seed(6)
				qkv := torch.Randn(torch.Float32, torch.CPU, s.batch, s.tokens, 3*s.heads*s.size)
				x := qkv.View(s.batch, s.tokens, 3, s.heads, s.size).Permute(2, 0, 3, 1, 4)
				want := torch.Attention(x.Select(0, 0), x.Select(0, 1), x.Select(0, 2), nil, 0, false, 0).
					Transpose(1, 2).
					Reshape(s.batch, s.tokens, -1)
				closeInBoth(t, "without a bias", qkv, nil, s.heads, want)
			})
		})
	}
}

// closeInBoth compares the attention of qkv in float32 and in bfloat16.
func closeInBoth(t *testing.T, name string, qkv, bias *torch.Tensor, heads int64, want *torch.Tensor) {
	t.Helper()
	full := torch.HeadAttention(qkv, heads, bias)
	torchtest.CloseTo(t, name+", float32", full, want, torchtest.Tolerance{Rel: 2e-6})
	half := torch.HeadAttention(qkv.To(torch.BFloat16), heads, bias).To(torch.Float32)
	torchtest.CloseTo(t, name+", bfloat16", half, want, torchtest.Tolerance{Rel: 2e-2})
}

func TestHeadAttentionWithBias(t *testing.T) { onEachISA(t, testHeadAttentionWithBias) }

// A bias is added to the logits, the same to those of every image or one to those of each N images in turn.
func testHeadAttentionWithBias(t *testing.T) {
	if !torch.HasPanels(torch.Float32) {
		t.Skip("no kernels without AVX2")
	}
	for _, s := range []struct{ batch, biases, tokens, heads, size int64 }{
		{1, 1, 1, 1, 1}, {4, 1, 50, 3, 64}, {6, 3, 33, 2, 80}, {6, 6, 49, 4, 24}, {6, 2, 16, 2, 32}, {2, 1, 197, 2, 64},
		{1, 1, 577, 2, 64},
	} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			torchtest.Do(t, func() {
				torch.Seed(7)
				qkv := torch.Randn(torch.Float32, torch.CPU, s.batch, s.tokens, 3*s.heads*s.size)
				bias := torch.Randn(torch.Float32, torch.CPU, s.biases, s.heads, s.tokens, s.tokens).MulScalar(3)
				x := qkv.View(s.batch, s.tokens, 3, s.heads, s.size).Permute(2, 0, 3, 1, 4)
				all := make([]*torch.Tensor, s.batch/s.biases)
				for i := range all {
					all[i] = bias
				}
				logits := x.Select(0, 0).MulScalar(1 / math.Sqrt(float64(s.size))).Matmul(x.Select(0, 1).Transpose(-1, -2))
				seen := logits.Add(torch.Cat(0, all...)).Softmax(-1).Matmul(x.Select(0, 2)) // [B, H, T, D]
				closeInBoth(t, "with a bias", qkv, bias, s.heads, seen.Transpose(1, 2).Reshape(s.batch, s.tokens, -1))
			})
		})
	}
}

// A bias of another shape or type is refused.
func TestHeadAttentionRefusesBiases(t *testing.T) {
	if !torch.HasPanels(torch.Float32) {
		t.Skip("no kernels without AVX2")
	}
	for _, c := range []struct {
		name  string
		shape []int64
		dtype torch.DType
	}{
		{"no divisor of the batch", []int64{4, 2, 5, 5}, torch.Float32},
		{"one head", []int64{1, 1, 5, 5}, torch.Float32},
		{"other tokens", []int64{1, 2, 5, 6}, torch.Float32},
		{"bfloat16", []int64{1, 2, 5, 5}, torch.BFloat16},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := torch.Do(t.Context(), func() error {
				qkv := torch.Randn(torch.Float32, torch.CPU, 6, 5, 3*2*8)
				torch.HeadAttention(qkv, 2, torch.Randn(c.dtype, torch.CPU, c.shape...))
				return nil
			})
			if err == nil || !strings.Contains(err.Error(), "bias") {
				t.Errorf("got %v, want an error about the bias", err)
			}
		})
	}
}
