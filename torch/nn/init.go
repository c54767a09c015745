package nn

import "captioner/torch"

// Normal fills t with draws of mean 0 and the given standard deviation.
func Normal(t *torch.Tensor, std float64) {
	torch.NoGrad(func() {
		torch.Scoped(func() { t.Copy(torch.Randn(torch.Float32, torch.CPU, t.Shape()...).MulScalar(std)) })
	})
}

// Constant fills t with v.
func Constant(t *torch.Tensor, v float64) {
	torch.NoGrad(func() {
		torch.Scoped(func() { t.Copy(torch.Full(v, torch.Float32, torch.CPU)) })
	})
}
