package nn

import "captioner/torch"

// Chunks runs an encoder f over images x [B, 3, h, w], some at a time and without recording for Backward: the maps of
// more would leave the processor's cache. On a GPU all go at once. x is moved to dev; f must treat each image by
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

// CheckImages ends Do unless images have the shape [B, 3, size, size]; op names the network that wants it.
func CheckImages(op string, images *torch.Tensor, size int64) {
	if images.Rank() != 4 || images.Dim(1) != 3 || images.Dim(2) != size || images.Dim(3) != size {
		torch.Fail(op, "images of shape %v, want [B, 3, %d, %d]", images.Shape(), size, size)
	}
}
