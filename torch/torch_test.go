package torch_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"captioner/torch"
)

// do runs f on the torch thread and fails the test on an error or on handles left behind.
func do(t testing.TB, f func()) {
	t.Helper()
	before := torch.Live()
	if err := torch.Do(context.Background(), func() error { f(); return nil }); err != nil {
		t.Fatal(err)
	}
	if after := torch.Live(); after != before {
		t.Fatalf("live tensors: got %d after, %d before", after, before)
	}
}

func TestOps(t *testing.T) {
	do(t, func() {
		a := torch.FromSlice([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
		for _, c := range []struct {
			name string
			got  *torch.Tensor
			want []float32
		}{
			{"add", a.Add(a), []float32{2, 4, 6, 8, 10, 12}},
			{"matmul", a.Matmul(a.Transpose(0, 1)), []float32{14, 32, 32, 77}},
			{"sum dim", a.SumDim(1, false), []float32{6, 15}},
			{"cat", torch.Cat(1, a, a.Narrow(1, 0, 1)), []float32{1, 2, 3, 1, 4, 5, 6, 4}},
			{"index select", a.IndexSelect(1, torch.FromSlice([]int64{2, 0})), []float32{3, 1, 6, 4}},
			{"permute", a.Permute(1, 0), []float32{1, 4, 2, 5, 3, 6}},
			{"pad", a.Pad(1, 0), []float32{0, 1, 2, 3, 0, 4, 5, 6}},
			{"softmax of equal", torch.Zeros(torch.Float32, torch.CPU, 1, 4).Softmax(-1), []float32{.25, .25, .25, .25}},
			{"relu6", torch.FromSlice([]float32{-1, 3, 9}).Relu6(), []float32{0, 3, 6}},
			{"scalar", torch.Full(2, torch.Float32, torch.CPU).MulScalar(3), []float32{6}},
		} {
			if got := torch.Slice[float32](c.got); !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, want %v", c.name, got, c.want)
			}
		}
	})
}

func TestErrorCarriesOpAndShapes(t *testing.T) {
	err := torch.Do(context.Background(), func() error {
		a := torch.Zeros(torch.Float32, torch.CPU, 2, 3)
		a.Matmul(a)
		return nil
	})
	var op *torch.OpError
	if !errors.As(err, &op) {
		t.Fatalf("got %v, want an OpError", err)
	}
	want := "matmul [2 3] [2 3]: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"
	if op.Error() != want {
		t.Errorf("got  %s\nwant %s", op, want)
	}
}

func TestBridgeErrorIsOneLine(t *testing.T) {
	err := torch.Do(context.Background(), func() error {
		a := torch.Zeros(torch.Float32, torch.CPU, 2, 3)
		torch.Attention(a, a, torch.Zeros(torch.Float32, torch.CPU, 5, 7, 9), nil, 0, false, 0)
		return nil
	})
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q, want one line", err)
	}
}

func TestUseAfterFreeIsRefused(t *testing.T) {
	for name, f := range map[string]func(){
		"freed": func() { a := torch.Zeros(torch.Float32, torch.CPU, 2); a.Free(); a.Add(a) },
		"scope closed": func() {
			var a *torch.Tensor
			torch.Scoped(func() { a = torch.Zeros(torch.Float32, torch.CPU, 2) })
			a.Relu()
		},
		"nil":         func() { var a *torch.Tensor; a.Relu() },
		"as argument": func() { a := torch.Zeros(torch.Float32, torch.CPU, 2); b := a.Relu(); b.Free(); torch.Cat(0, a, b) },
	} {
		err := torch.Do(context.Background(), func() error { f(); return nil })
		var op *torch.OpError
		if !errors.As(err, &op) {
			t.Errorf("%s: got %v, want an OpError", name, err)
		}
	}
}

// Eight goroutines, each with failing and succeeding ops: every error reaches the one who caused it.
func TestGoroutinesGetTheirOwnErrors(t *testing.T) {
	before := torch.Live()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				n := int64(g*1000 + i + 2)
				err := torch.Do(context.Background(), func() error {
					a := torch.Zeros(torch.Float32, torch.CPU, n, 1)
					if i%2 == 0 {
						a.Matmul(torch.Zeros(torch.Float32, torch.CPU, n, 1))
					}
					if got := a.Dim(0); got != n {
						return fmt.Errorf("dim: got %d, want %d", got, n)
					}
					return nil
				})
				var op *torch.OpError
				switch {
				case i%2 == 1 && err != nil:
					t.Errorf("goroutine %d: %v", g, err)
				case i%2 == 0 && (!errors.As(err, &op) || op.Shapes[0][0] != n):
					t.Errorf("goroutine %d: got %v, want an error about %d rows", g, err, n)
				}
			}
		})
	}
	wg.Wait()
	if after := torch.Live(); after != before {
		t.Errorf("live tensors: got %d, want %d", after, before)
	}
}

func rss(t testing.TB) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc/self/statm to read the resident size from")
	}
	var size, resident int64
	fmt.Sscan(string(b), &size, &resident)
	return resident * int64(os.Getpagesize())
}

func TestManyOpsKeepMemoryFlat(t *testing.T) {
	var start, end int64
	do(t, func() {
		x := torch.Zeros(torch.Float32, torch.CPU, 256, 256)
		run := func(n int) {
			for i := range n {
				torch.Scoped(func() {
					y := x.Add(x).GELU(true)
					y.Copy(x)
					if i%100 == 0 {
						y.Softmax(-1)
					}
				})
			}
		}
		run(2000)
		live := torch.Live()
		start = rss(t)
		run(33000) // about 100,000 ops
		end = rss(t)
		if got := torch.Live(); got != live {
			t.Errorf("live tensors: got %d, want %d", got, live)
		}
	})
	if grown := end - start; grown > 4<<20 {
		t.Errorf("resident size grew by %d bytes over 100,000 ops", grown)
	}
}

func TestModesNest(t *testing.T) {
	do(t, func() {
		want := func(on bool) {
			t.Helper()
			if got := torch.GradEnabled(); got != on {
				t.Errorf("grad enabled: got %v, want %v", got, on)
			}
		}
		want(true)
		torch.NoGrad(func() {
			want(false)
			torch.NoGrad(func() { want(false) })
			want(false)
			torch.Inference(func() { want(false) })
			want(false)
		})
		want(true)
		a := torch.Zeros(torch.Float32, torch.CPU, 4, 4)
		torch.Autocast(torch.CPU, torch.BFloat16, func() {
			if got := a.Matmul(a).DType(); got != torch.BFloat16 {
				t.Errorf("autocast: got %v, want bfloat16", got)
			}
			torch.Autocast(torch.CPU, torch.Float32, func() {
				if got := a.Matmul(a).DType(); got != torch.Float32 {
					t.Errorf("autocast off: got %v, want float32", got)
				}
			})
			if d, on := torch.AutocastDType(torch.CPU); !on || d != torch.BFloat16 {
				t.Errorf("autocast after a nested region: got %v %v, want bfloat16 true", d, on)
			}
		})
	})
}

// A failing op inside NoGrad and Autocast leaves the torch thread as it was.
func TestModesAreRestoredAfterAnError(t *testing.T) {
	torch.Do(context.Background(), func() error {
		torch.NoGrad(func() {
			torch.Autocast(torch.CPU, torch.BFloat16, func() { torch.Fail("test", "on purpose") })
		})
		return nil
	})
	do(t, func() {
		if _, on := torch.AutocastDType(torch.CPU); on || !torch.GradEnabled() {
			t.Errorf("after an error: autocast %v, grad %v; want false, true", on, torch.GradEnabled())
		}
	})
}

func TestOtherPanicsPass(t *testing.T) {
	defer func() {
		if got := recover(); got != "mine" {
			t.Errorf("recovered %v, want mine", got)
		}
	}()
	torch.Do(context.Background(), func() error { panic("mine") })
}

func TestNestedDo(t *testing.T) {
	do(t, func() {
		a := torch.Zeros(torch.Float32, torch.CPU, 2)
		err := torch.Do(context.Background(), func() error { a.Add(a); a.View(7); return nil })
		if err == nil {
			t.Error("nested Do: no error")
		}
		a.Add(a)
	})
}

func TestDoGivesUpItsPlace(t *testing.T) {
	hold, held := make(chan bool), make(chan bool)
	go torch.Do(context.Background(), func() error { held <- true; <-hold; return nil })
	<-held
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := torch.Do(ctx, func() error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
	close(hold)
}

func TestGoexitInsideDo(t *testing.T) {
	done := make(chan bool)
	go func() {
		defer close(done)
		torch.Do(context.Background(), func() error {
			torch.Zeros(torch.Float32, torch.CPU, 2)
			runtime.Goexit()
			return nil
		})
		t.Error("Do returned after Goexit")
	}()
	<-done
	do(t, func() { torch.Zeros(torch.Float32, torch.CPU, 2) })
}

func TestTidyAndKeep(t *testing.T) {
	var kept *torch.Tensor
	err := torch.Do(context.Background(), func() error {
		before := torch.Live()
		y := torch.Tidy1(func() *torch.Tensor {
			x := torch.Full(1, torch.Float32, torch.CPU, 3)
			return x.Add(x).Add(x)
		})
		if got := torch.Live() - before; got != 1 {
			t.Errorf("live after Tidy: got %d more, want 1", got)
		}
		kept = y.Keep()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	do(t, func() {
		if got := torch.Slice[float32](kept); !slices.Equal(got, []float32{3, 3, 3}) {
			t.Errorf("kept: got %v, want [3 3 3]", got)
		}
	})
	torch.Do(context.Background(), func() error { kept.Free(); kept.Free(); return nil })
	if !kept.Freed() {
		t.Error("kept tensor not freed")
	}
}

func TestSeedRepeats(t *testing.T) {
	do(t, func() {
		draw := func() []float32 {
			x := torch.Full(1, torch.Float32, torch.CPU, 1000).Dropout(.3)
			return append(torch.Slice[float32](torch.Randn(torch.Float32, torch.CPU, 5)), torch.Slice[float32](x)...)
		}
		torch.Seed(7)
		a := draw()
		state := torch.RandomState(torch.CPU)
		b := draw()
		torch.Seed(7)
		if !slices.Equal(a, draw()) {
			t.Error("the same seed gave other numbers")
		}
		torch.SetRandomState(state, torch.CPU)
		if !slices.Equal(b, draw()) {
			t.Error("a restored state gave other numbers")
		}
		if slices.Equal(a, b) {
			t.Error("two draws in a row are equal")
		}
	})
}

func TestDropoutShareAndScale(t *testing.T) {
	do(t, func() {
		for _, d := range []torch.DType{torch.Float32, torch.BFloat16, torch.Float64} {
			x := torch.Full(1, d, torch.CPU, 1001, 99).Dropout(.25)
			v := torch.Slice[float64](x.To(torch.Float64))
			zeros := 0
			for _, e := range v {
				if e == 0 {
					zeros++
				} else if math.Abs(e-4.0/3) > .01 {
					t.Fatalf("%v: kept element %g, want 4/3", d, e)
				}
			}
			if share := float64(zeros) / float64(len(v)); math.Abs(share-.25) > .006 {
				t.Errorf("%v: dropped share %.4f, want 0.25", d, share)
			}
		}
	})
}

func TestBackward(t *testing.T) {
	do(t, func() {
		x := torch.FromSlice([]float32{1, 2, 3}).RequireGrad(true)
		if x.Grad() != nil {
			t.Error("a fresh leaf has a gradient")
		}
		x.Mul(x).Sum().Backward()
		if got := torch.Slice[float32](x.Grad()); !slices.Equal(got, []float32{2, 4, 6}) {
			t.Errorf("gradient: got %v, want [2 4 6]", got)
		}
		x.ClearGrad()
		if x.Grad() != nil {
			t.Error("gradient left after ClearGrad")
		}
	})
}

// bestColumns are the numbers of the k largest values, largest first.
func bestColumns(values []float32, k int) []int64 {
	columns := make([]int64, len(values))
	for i := range columns {
		columns[i] = int64(i)
	}
	slices.SortStableFunc(columns, func(a, b int64) int { return cmp.Compare(values[b], values[a]) })
	return columns[:k]
}

// largest is the largest magnitude of x's elements.
func largest(x *torch.Tensor) (top float64) {
	for _, v := range torch.Slice[float32](x) {
		top = max(top, math.Abs(float64(v)))
	}
	return top
}

func TestTopKLogProbs(t *testing.T) {
	do(t, func() {
		rows, v := int64(3), int64(5003)
		torch.Seed(1)
		x := torch.Randn(torch.Float32, torch.CPU, rows, v).MulScalar(3)
		ref := torch.Slice[float32](x.LogSoftmax(-1))
		var want []int64
		for r := range rows {
			want = append(want, bestColumns(ref[r*v:(r+1)*v], 5)...)
		}
		ids, lp := torch.TopKLogProbs(x, 4, 1, [][]int32{nil, {int32(want[5])}})
		for r := range 3 {
			skip := 0
			if r == 1 {
				skip = 1 // its best is banned
			}
			for j := range 4 {
				if got := int64(ids[r*4+j]); got != want[r*5+j+skip] {
					t.Errorf("row %d place %d: got %d, want %d", r, j, got, want[r*5+j+skip])
				}
				if d := math.Abs(float64(lp[r*4+j] - ref[int64(r)*v+int64(ids[r*4+j])])); d > 2e-6*math.Abs(
					float64(lp[r*4+j]),
				)+1e-6 {
					t.Errorf("row %d place %d: log-probability off by %g", r, j, d)
				}
			}
		}
		ids, lp = torch.TopKLogProbs(torch.Zeros(torch.Float32, torch.CPU, 1, 3), 3, 1, [][]int32{{0, 2}})
		if !slices.Equal(ids, []int32{1, -1, -1}) || !math.IsInf(float64(lp[1]), -1) {
			t.Errorf("row with two banned: got %v %v", ids, lp)
		}
	})
}

func TestPackedLinearEqualsLinear(t *testing.T) {
	do(t, func() {
		torch.Inference(func() {
			x, w := torch.Randn(torch.Float32, torch.CPU, 5, 32), torch.Randn(torch.Float32, torch.CPU, 48, 32)
			b := torch.Randn(torch.Float32, torch.CPU, 48)
			p := torch.PackLinear(w)
			plain := torch.Linear(x, w, b)
			for _, c := range []struct {
				name      string
				got, want *torch.Tensor
			}{
				{"none", torch.PackedLinear(x, p, b, torch.NoActivation), plain},
				{"no bias", torch.PackedLinear(x, p, nil, torch.NoActivation), torch.Linear(x, w, nil)},
				{"gelu", torch.PackedLinear(x, p, b, torch.GELUErf), plain.GELU(false)},
				{"gelu tanh", torch.PackedLinear(x, p, b, torch.GELUTanh), plain.GELU(true)},
				{"relu", torch.PackedLinear(x, p, b, torch.ReLU), plain.Relu()},
			} {
				if d := largest(c.got.Sub(c.want)); d > 2e-5 {
					t.Errorf("%s: off by %g", c.name, d)
				}
			}
		})
	})
}

func TestPackedConvEqualsConv(t *testing.T) {
	do(t, func() {
		torch.Inference(func() {
			one, two := [2]int64{1, 1}, [2]int64{2, 2}
			x := torch.Randn(torch.Float32, torch.CPU, 2, 8, 9, 9).ChannelsLast()
			w, b := torch.Randn(torch.Float32, torch.CPU, 8, 1, 3, 3), torch.Randn(torch.Float32, torch.CPU, 8)
			p := torch.PackConv2d(w, two, one, one, 8, x.Shape())
			want := torch.Conv2d(x, w, b, two, one, one, 8)
			if d := largest(torch.PackedConv2d(x, p, b, two, one, one, 8, torch.ReLU6, nil).Sub(want.Relu6())); d > 1e-5 {
				t.Errorf("relu6: off by %g", d)
			}
			r := torch.Randn(torch.Float32, torch.CPU, want.Shape()...).ChannelsLast()
			if d := largest(torch.PackedConv2d(x, p, b, two, one, one, 8, torch.NoActivation, r).Sub(want.Add(r))); d > 1e-5 {
				t.Errorf("residual: off by %g", d)
			}
			if d := largest(torch.PackedConv2d(x, p, b, two, one, one, 8, torch.ReLU, r).Sub(want.Add(r).Relu())); d > 1e-5 {
				t.Errorf("residual and relu: off by %g", d)
			}
		})
	})
}

func BenchmarkAdd(b *testing.B) {
	do(b, func() {
		x := torch.Zeros(torch.Float32, torch.CPU, 1)
		b.ReportAllocs()
		for b.Loop() {
			torch.Scoped(func() { x.Add(x) })
		}
	})
}

func BenchmarkDo(b *testing.B) {
	for b.Loop() {
		torch.Do(context.Background(), func() error { return nil })
	}
}

func ExampleDo() {
	err := torch.Do(context.Background(), func() error {
		x := torch.FromSlice([]float32{1, 2, 3, 4}, 2, 2)
		fmt.Println(torch.Slice[float32](x.Matmul(x)))
		x.Reshape(3)
		return nil
	})
	fmt.Println(err)
	// Output:
	// [7 10 15 22]
	// reshape [2 2]: shape '[3]' is invalid for input of size 4
}
