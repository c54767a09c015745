//go:build standin

package standin_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"captioner/torch"
	"captioner/torch/standin"
	"captioner/torch/torchtest"
)

// TestMain is also the process that TestHostCodeCannotReadMemory lets die.
func TestMain(m *testing.M) {
	standin.Install()
	if os.Getenv("STANDIN_PEEK") != "" {
		torch.Do(context.Background(), func() error {
			standin.Peek(torch.Full(1, torch.Float32, torch.CUDA(0), 4))
			return nil
		})
		return
	}
	torchtest.OneThread(m)
}

func TestHostCodeCannotReadMemory(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "STANDIN_PEEK=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "SIGSEGV") {
		t.Errorf("got %v, want an end by SIGSEGV:\n%s", err, out)
	}
	torchtest.Do(t, func() { standin.Peek(torch.Full(1, torch.Float32, torch.CPU, 4)) })
}

func TestDevicesDoNotMix(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func(a, b, cpu, number *torch.Tensor)
		ok   bool
	}{
		{"one device", func(a, _, _, _ *torch.Tensor) { a.Add(a) }, true},
		{"two devices", func(a, b, _, _ *torch.Tensor) { a.Add(b) }, false},
		{"product over two devices", func(a, b, _, _ *torch.Tensor) { a.Matmul(b) }, false},
		{"with the CPU", func(a, _, cpu, _ *torch.Tensor) { a.Add(cpu) }, false},
		{"the CPU first", func(a, _, cpu, _ *torch.Tensor) { cpu.Mul(a) }, false},
		{"with a number on the CPU", func(a, _, _, n *torch.Tensor) { a.Add(n) }, true},
		{"lookup by the CPU", func(a, _, _, _ *torch.Tensor) {
			torch.Embedding(a, torch.FromSlice([]int64{0}))
		}, false},
		{"select by the CPU", func(a, _, _, _ *torch.Tensor) {
			a.IndexSelect(0, torch.FromSlice([]int64{0}))
		}, false},
		{"joined with the CPU", func(a, _, cpu, _ *torch.Tensor) { torch.Cat(0, a, cpu) }, false},
		{"norm with weights of the CPU", func(a, _, cpu, _ *torch.Tensor) {
			w := cpu.Select(0, 0)
			torch.LayerNorm(a, []int64{2}, w, w, 1e-5)
		}, false},
		{"copied from another", func(a, b, _, _ *torch.Tensor) { a.Copy(b) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := torch.Do(context.Background(), func() error {
				on := func(d torch.Device) *torch.Tensor { return torch.Full(2, torch.Float32, d, 2, 2) }
				tt.f(on(torch.CUDA(0)), on(torch.CUDA(1)), on(torch.CPU), torch.Full(3, torch.Float32, torch.CPU))
				return nil
			})
			if (err == nil) != tt.ok {
				t.Errorf("got %v, want ok %v", err, tt.ok)
			}
			if err != nil && !strings.Contains(err.Error(), "same device") {
				t.Errorf("got %v, want it to say: same device", err)
			}
		})
	}
}

func TestCrossingsAreCounted(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func(x *torch.Tensor)
		want standin.Crossings
	}{
		{"compute", func(x *torch.Tensor) { x.Add(x).Matmul(x) }, standin.Crossings{}},
		{"upload", func(*torch.Tensor) { torch.FromSlice([]float32{1, 2}).ToDevice(torch.CUDA(0)) },
			standin.Crossings{Uploads: 1, UploadBytes: 8}},
		{"download", func(x *torch.Tensor) { x.Bytes() }, standin.Crossings{Downloads: 1, DownloadBytes: 16}},
		{"other device", func(x *torch.Tensor) { x.ToDevice(torch.CUDA(1)) }, standin.Crossings{Peers: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Do(t, func() {
				x := torch.Full(2, torch.Float32, torch.CUDA(0), 2, 2)
				before := standin.Count()
				tt.f(x)
				got := standin.Count().Since(before)
				if got.Ops = 0; got != tt.want {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
			})
		})
	}
}

func TestViewsShareMemory(t *testing.T) {
	torchtest.Do(t, func() {
		x := torch.Zeros(torch.Float32, torch.CUDA(1), 4, 6)
		x.Narrow(1, 2, 2).Transpose(0, 1).Select(0, 1).Copy(torch.Full(7, torch.Float32, torch.CPU, 4))
		x.View(2, 2, 6).Permute(2, 0, 1).Select(0, 0).Copy(torch.Full(5, torch.Float32, torch.CUDA(1)))
		for i, v := range torch.Slice[float32](x) {
			want := map[int]float32{0: 5, 3: 7}[i%6]
			if v != want {
				t.Errorf("element %d: got %v, want %v", i, v, want)
			}
		}
	})
}

func TestNewMemoryHoldsNaNs(t *testing.T) {
	torchtest.Do(t, func() {
		for i, v := range torch.Slice[float32](torch.Empty(torch.Float32, torch.CUDA(0), 3)) {
			if v == v {
				t.Errorf("element %d: got %v, want NaN", i, v)
			}
		}
	})
}

func TestMemoryEnds(t *testing.T) {
	defer standin.SetLimit(0, 0)
	now, _ := standin.Used(0)
	standin.SetLimit(0, now+1<<20)
	err := torch.Do(context.Background(), func() error {
		torch.Empty(torch.Float32, torch.CUDA(0), 1<<16)
		torch.Empty(torch.Float32, torch.CUDA(1), 1<<20)
		torch.Empty(torch.Float32, torch.CUDA(0), 1<<20)
		return nil
	})
	var op *torch.OpError
	if !errors.As(err, &op) || !strings.Contains(op.Msg, "CUDA out of memory") {
		t.Errorf("got %v, want out of memory", err)
	}
	if after, _ := standin.Used(0); after != now {
		t.Errorf("got %d bytes in use after all was freed, want %d", after, now)
	}
}

func TestRandomNumbersBelongToTheDevice(t *testing.T) {
	torchtest.Do(t, func() {
		dev := torch.CUDA(1)
		draw := func(d torch.Device) []float32 { return torch.Slice[float32](torch.Randn(torch.Float32, d, 4)) }
		torch.Seed(1)
		state := torch.RandomState(dev)
		first := draw(dev)
		draw(torch.CPU)
		torch.SetRandomState(state, dev)
		draw(torch.CPU)
		draw(torch.CUDA(0))
		if again := draw(dev); again[0] != first[0] || again[3] != first[3] {
			t.Errorf("got %v after the state was put back, want %v", again, first)
		}
	})
}

func TestAutocastFollowsCUDA(t *testing.T) {
	for _, d := range []torch.DType{torch.Float16, torch.BFloat16} {
		t.Run(d.String(), func(t *testing.T) {
			torchtest.Do(t, func() {
				x := torch.Full(.5, torch.Float32, torch.CUDA(0), 4, 4).RequireGrad(true)
				torch.Autocast(torch.CUDA(0), d, func() {
					y := torch.Linear(x, x, nil)
					for _, tt := range []struct {
						op   string
						got  *torch.Tensor
						want torch.DType
					}{
						{"linear", y, d},
						{"matmul", x.Matmul(x), d},
						{"softmax", y.Softmax(-1), torch.Float32},
						{"layer norm", torch.LayerNorm(y, []int64{4}, nil, nil, 1e-5), torch.Float32},
						{"exp", y.Exp(), torch.Float32},
						{"gelu", y.GELU(true), d},
						{"add", y.Add(x), torch.Float32},
					} {
						if tt.got.DType() != tt.want {
							t.Errorf("%s: got %v, want %v", tt.op, tt.got.DType(), tt.want)
						}
					}
					y.Sum().Backward()
				})
				if g := x.Grad(); g.DType() != torch.Float32 || g.Device() != torch.CUDA(0) {
					t.Errorf("gradient: got %v on %v, want float32 on cuda:0", g.DType(), g.Device())
				}
			})
		})
	}
}
