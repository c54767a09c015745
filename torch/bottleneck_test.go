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

// bottleneckCase is a block and the map that it is for.
type bottleneckCase struct {
	batch, height, width int64
	in, wide, out        int64 // channels; wide == in: nothing widens
	kernel, stride       int64
	skip                 bool
}

var bottleneckCases = []bottleneckCase{
	{batch: 2, height: 9, width: 9, in: 24, wide: 144, out: 24, kernel: 5, stride: 1, skip: true},
	{batch: 3, height: 7, width: 10, in: 8, wide: 48, out: 12, kernel: 3, stride: 1},
	{batch: 2, height: 17, width: 16, in: 5, wide: 67, out: 9, kernel: 5, stride: 2},
	{batch: 2, height: 16, width: 17, in: 5, wide: 30, out: 9, kernel: 3, stride: 2},
	{batch: 1, height: 33, width: 32, in: 7, wide: 7, out: 5, kernel: 3, stride: 1},
	{batch: 5, height: 1, width: 1, in: 3, wide: 18, out: 3, kernel: 5, stride: 1, skip: true},
	{batch: 1, height: 2, width: 3, in: 4, wide: 24, out: 4, kernel: 5, stride: 2},
	{batch: 1, height: 1, width: 5, in: 4, wide: 24, out: 4, kernel: 3, stride: 2},
	{batch: 2, height: 131, width: 130, in: 6, wide: 20, out: 4, kernel: 5, stride: 1},
	{batch: 2, height: 150, width: 261, in: 4, wide: 16, out: 4, kernel: 5, stride: 2},
	{batch: 2, height: 261, width: 150, in: 4, wide: 17, out: 4, kernel: 3, stride: 2},
	{batch: 1, height: 24, width: 400, in: 3, wide: 16, out: 3, kernel: 3, stride: 1, skip: true},
}

func (c bottleneckCase) String() string {
	return fmt.Sprintf("%dx%dx%d %d-%d-%d k%d s%d", c.batch, c.height, c.width, c.in, c.wide, c.out, c.kernel, c.stride)
}

// starts are a map and the weights and biases of widen, depthwise and narrow.
func (c bottleneckCase) starts() []*torch.Tensor {
	torch.Seed(5)
	return []*torch.Tensor{
		rounded(c.batch, c.height, c.width, c.in).MulScalar(2),
		rounded(c.wide, c.in), rounded(c.wide),
		rounded(c.wide, 1, c.kernel, c.kernel), rounded(c.wide),
		rounded(c.out, c.wide), rounded(c.out),
	}
}

func (c bottleneckCase) widens() bool { return c.wide != c.in }

// ours is the block by the kernel.
func (c bottleneckCase) ours(l []*torch.Tensor) []*torch.Tensor {
	var widen *torch.Fold
	if c.widens() {
		widen = &torch.Fold{Weight: l[1], Bias: l[2]}
	}
	return []*torch.Tensor{torch.Bottleneck(l[0], widen, torch.Fold{Weight: l[3], Bias: l[4]},
		torch.Fold{Weight: l[5], Bias: l[6]}, c.stride, c.skip)}
}

// plain is the block by libtorch's convolutions.
func (c bottleneckCase) plain(l []*torch.Tensor) []*torch.Tensor {
	one := [2]int64{1, 1}
	y := l[0].Permute(0, 3, 1, 2) // [B, C, H, W]
	if c.widens() {
		y = torch.Conv2d(y, l[1].View(c.wide, c.in, 1, 1), l[2], one, [2]int64{}, one, 1).Relu6()
	}
	pad := func(n int64) (before, after int64) {
		all := max(0, ((n+c.stride-1)/c.stride-1)*c.stride+c.kernel-n)
		return all / 2, all - all/2
	}
	top, bottom := pad(c.height)
	left, right := pad(c.width)
	y = torch.Conv2d(y.Pad(left, right, top, bottom), l[3], l[4], [2]int64{c.stride, c.stride}, [2]int64{}, one,
		c.wide).Relu6()
	y = torch.Conv2d(y, l[5].View(c.out, c.wide, 1, 1), l[6], one, [2]int64{}, one, 1).Permute(0, 2, 3, 1)
	if c.skip {
		y = y.Add(l[0])
	}
	return []*torch.Tensor{y}
}

// used are the leaves that the block has.
func (c bottleneckCase) used(l []*torch.Tensor) []*torch.Tensor {
	if c.widens() {
		return l
	}
	return append([]*torch.Tensor{l[0], nil, nil}, l[1:]...)
}

// A block gives what libtorch's convolutions give, and so do its gradients, on every processor that this one can stand
// for, for maps of odd and even sides, channels that fill no vector, and maps that are cut into bands.
func TestBottleneck(t *testing.T) {
	onEachISA(t, func(t *testing.T) {
		for _, c := range bottleneckCases {
			t.Run(c.String(), func(t *testing.T) {
				torchtest.Do(t, func() {
					starts := c.starts()
					if !c.widens() {
						starts = append(starts[:1], starts[3:]...)
					}
					on := func(f func([]*torch.Tensor) []*torch.Tensor) func([]*torch.Tensor) []*torch.Tensor {
						return func(l []*torch.Tensor) []*torch.Tensor { return f(c.used(l)) }
					}
					got, want := learnFrom(torch.Float32, starts, on(c.ours)), learnFrom(torch.Float32, starts, on(c.plain))
					same(t, torch.Float32, got, want)
				})
			})
		}
	})
}

// In bfloat16 maps between the convolutions are rounded. A rounded number may cross an edge of ReLU6, so that gradients
// are compared as a whole.
func TestBottleneckInBFloat16(t *testing.T) {
	for _, c := range bottleneckCases {
		if !c.widens() {
			continue
		}
		t.Run(c.String(), func(t *testing.T) {
			torchtest.Do(t, func() {
				starts := c.starts()
				half := func(l []*torch.Tensor) (out []*torch.Tensor) {
					torch.Autocast(torch.CPU, torch.BFloat16, func() { out = c.ours(l) })
					if d := out[0].DType(); d != torch.BFloat16 {
						t.Errorf("got a result in %v, want bfloat16", d)
					}
					return out
				}
				got, want := learnFrom(torch.Float32, starts, half), learnFrom(torch.Float32, starts, c.plain)
				torchtest.CloseTo(t, "output", got.out[0], want.out[0], torchtest.Tolerances[torch.BFloat16])
				for i := range want.grads {
					if off := torchtest.NormDistance(got.grads[i], want.grads[i]); !(off < .12) {
						t.Errorf("gradient %d: relative distance %g", i, off)
					}
				}
			})
		})
	}
}

// The gradients are the slopes of the result, and the same bits on any number of threads.
func TestBottleneckSlopesAndThreads(t *testing.T) {
	torchtest.Do(t, func() {
		defer torch.SetThreads(torch.Threads())
		c := bottleneckCases[0]
		starts := c.starts()
		torch.SetThreads(1)
		one := learnFrom(torch.Float32, starts, c.ours)
		torch.SetThreads(3)
		for i, g := range learnFrom(torch.Float32, starts, c.ours).grads[3:5] { // what no product of libtorch's makes
			torchtest.CloseTo(t, fmt.Sprint("gradient ", i+3, " on 3 threads"), g, one.grads[i+3], torchtest.Tolerance{})
		}
		weigh := func(s []*torch.Tensor) float64 {
			torch.Seed(8)
			out := c.ours(s)[0]
			return out.To(torch.Float64).Mul(torch.Randn(torch.Float32, torch.CPU, out.Shape()...).To(torch.Float64)).
				Sum().Float()
		}
		for i, s := range starts {
			torch.Seed(9)
			along := torch.Randn(torch.Float32, torch.CPU, s.Shape()...)
			const step = 1e-4
			moved := func(by float64) []*torch.Tensor {
				out := append([]*torch.Tensor(nil), starts...)
				out[i] = s.Add(along.MulScalar(by))
				return out
			}
			slope := (weigh(moved(step)) - weigh(moved(-step))) / (2 * step)
			want := one.grads[i].Mul(along).To(torch.Float64).Sum().Float()
			if norm := torchtest.Norm(one.grads[i]); math.Abs(slope-want) > .03*norm {
				t.Errorf("start %d: the slope is %g, the gradient says %g", i, slope, want)
			}
		}
	})
}

// What does not fit together is refused.
func TestBottleneckRefuses(t *testing.T) {
	c := bottleneckCases[0]
	for _, tt := range []struct {
		name   string
		start  int
		shape  []int64
		stride int64
	}{
		{"a kernel of 7", 3, []int64{c.wide, 1, 7, 7}, 1},
		{"other channels", 1, []int64{c.wide, c.in + 1}, 1},
		{"a skip to another shape", 5, []int64{7, c.wide}, 1},
		{"a stride of 3", 0, []int64{1, 9, 9, c.in}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := torch.Do(context.Background(), func() error {
				starts, c := c.starts(), c
				starts[tt.start] = torch.Zeros(torch.Float32, torch.CPU, tt.shape...)
				c.stride, c.skip = tt.stride, tt.stride == 1
				c.ours(starts)
				return nil
			})
			var op *torch.OpError
			if !errors.As(err, &op) || op.Op != "bottleneck" {
				t.Errorf("got %v, want an OpError of bottleneck", err)
			}
		})
	}
}
