package nn

import "captioner/torch"

// Chunks runs an encoder f over pictures x [B, 3, h, w], some at a time and without recording for Backward: the maps of
// more would leave the processor's cache. On a GPU all go at once. x is moved to dev; f must treat each picture by
// itself.
func Chunks(x *torch.Tensor, some int64, dev torch.Device, f func(*torch.Tensor) *torch.Tensor) *torch.Tensor {
	return torch.Tidy1(func() (out *torch.Tensor) {
		torch.NoGrad(func() {
			n := x.Dim(0)
			if dev.IsCUDA() || n <= some {
				out = f(x.ToDevice(dev))
				return
			}
			var parts []*torch.Tensor
			for i := int64(0); i < n; i += some {
				parts = append(parts, torch.Tidy1(func() *torch.Tensor { return f(x.Narrow(0, i, min(some, n-i))) }))
			}
			out = torch.Cat(0, parts...)
		})
		return out
	})
}
