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

func TestStepAttention(t *testing.T) {
	for _, tt := range []struct{ groups, rows, heads, positions, size int64 }{
		{1, 1, 1, 1, 1}, {2, 2, 2, 5, 8}, {3, 9, 4, 81, 64}, {2, 6, 3, 17, 80}, {4, 4, 2, 33, 24}, {1, 5, 1, 7, 130},
	} {
		for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
			t.Run(fmt.Sprintf("%+v %v", tt, d), func(t *testing.T) {
				torchtest.Do(t, func() {
					torch.Seed(1)
					q := torch.Randn(torch.Float32, torch.CPU, tt.rows, 3, tt.heads, tt.size).
						To(d).
						Select(1, 1)
						// a part of something wider
					kv := torch.Randn(torch.Float32, torch.CPU, 2, tt.groups, tt.heads, tt.positions+3, tt.size).
						Narrow(3, 0, tt.positions)
					k, v, scale := kv.Select(0, 0), kv.Select(0, 1), 1/math.Sqrt(float64(tt.size))
					x := q.To(torch.Float32).Reshape(tt.groups, tt.rows/tt.groups, tt.heads, tt.size).Transpose(1, 2) // [G, H, R/G, D]
					want := x.Matmul(k.Transpose(-1, -2)).
						MulScalar(scale).
						Softmax(-1).
						Matmul(v).
						Transpose(1, 2).
						Reshape(tt.rows, tt.heads*tt.size)
					tol := torchtest.Tolerance{Rel: 2e-6}
					if d == torch.BFloat16 {
						tol.Rel = 8e-3 // the result is rounded once
					}
					torchtest.CloseTo(t, "attention", torch.StepAttention(q, k, v, scale), want, tol)
				})
			})
		}
	}
}

func TestStepAttentionRefuses(t *testing.T) {
	zeros := func(d torch.DType, shape ...int64) func() *torch.Tensor {
		return func() *torch.Tensor { return torch.Zeros(d, torch.CPU, shape...) }
	}
	q, kv := zeros(torch.Float32, 4, 2, 8), zeros(torch.Float32, 2, 2, 3, 8)
	for _, tt := range []struct {
		name    string
		q, k, v func() *torch.Tensor
	}{
		{"groups that do not divide the rows", q, zeros(torch.Float32, 3, 2, 3, 8), zeros(torch.Float32, 3, 2, 3, 8)},
		{"no group", q, zeros(torch.Float32, 0, 2, 3, 8), zeros(torch.Float32, 0, 2, 3, 8)},
		{"no position", q, zeros(torch.Float32, 2, 2, 0, 8), zeros(torch.Float32, 2, 2, 0, 8)},
		{"other heads", q, zeros(torch.Float32, 2, 1, 3, 8), zeros(torch.Float32, 2, 1, 3, 8)},
		{"values unlike keys", q, kv, zeros(torch.Float32, 2, 2, 4, 8)},
		{"keys in bfloat16", q, zeros(torch.BFloat16, 2, 2, 3, 8), zeros(torch.BFloat16, 2, 2, 3, 8)},
		{"queries in float64", zeros(torch.Float64, 4, 2, 8), kv, kv},
		{"gaps", func() *torch.Tensor { return torch.Zeros(torch.Float32, torch.CPU, 4, 8, 2).Transpose(1, 2) }, kv, kv},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := torch.Do(context.Background(), func() error { torch.StepAttention(tt.q(), tt.k(), tt.v(), 1); return nil })
			var op *torch.OpError
			if !errors.As(err, &op) || op.Op != "step attention" {
				t.Errorf("got %v, want an OpError of step attention", err)
			}
		})
	}
}
