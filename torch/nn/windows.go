package nn

import "captioner/torch"

// Windows cuts maps of images [B, H, W, C] into squares of a side, row by row. At the right and at the bottom a map is
// padded with zeros to whole windows. Then it is turned by Shift rows and columns, so that the windows lie across the
// edges of those without a shift (Liu et al. 2021): what leaves at the top comes in at the bottom.
type Windows struct{ Images, Rows, Columns, Side, Shift int64 }

// WindowsOf are the windows of a map x [B, H, W, C].
func WindowsOf(x *torch.Tensor, side, shift int64) Windows {
	return Windows{Images: x.Dim(0), Rows: x.Dim(1), Columns: x.Dim(2), Side: side, Shift: shift}
}

// missing is how many rows and columns the last windows lack.
func (w Windows) missing() (rows, columns int64) {
	return (w.Side - w.Rows%w.Side) % w.Side, (w.Side - w.Columns%w.Side) % w.Side
}

// whole says whether the map is made of whole windows.
func (w Windows) whole() bool {
	rows, columns := w.missing()
	return rows == 0 && columns == 0
}

// Padded is the rows and columns of the map with its zeros.
func (w Windows) Padded() (rows, columns int64) {
	rows, columns = w.missing()
	return w.Rows + rows, w.Columns + columns
}

// Cut gives the windows of x [B, H, W, C]: [B·windows, side², C].
func (w Windows) Cut(x *torch.Tensor) *torch.Tensor {
	if !w.whole() {
		rows, columns := w.missing()
		x = x.Pad(0, 0, 0, columns, 0, rows) // pairs from the last dimension on
	}
	rows, columns := w.Padded()
	x = turned(turned(x, 1, w.Shift), 2, w.Shift)
	s, c := w.Side, x.Dim(3)
	x = x.Reshape(w.Images, rows/s, s, columns/s, s, c)
	return x.Permute(0, 1, 3, 2, 4, 5).Reshape(-1, s*s, c)
}

// Join puts windows back into a map without its zeros: [B·windows, side², C] to [B, H, W, C].
func (w Windows) Join(x *torch.Tensor) *torch.Tensor {
	rows, columns := w.Padded()
	s, c := w.Side, x.Dim(2)
	x = x.View(w.Images, rows/s, columns/s, s, s, c).Permute(0, 1, 3, 2, 4, 5)
	x = x.Reshape(w.Images, rows, columns, c)
	x = turned(turned(x, 2, columns-w.Shift), 1, rows-w.Shift)
	return x.Narrow(1, 0, w.Rows).Narrow(2, 0, w.Columns)
}

// Attend adds to a map x [B, H, W, C] what the positions of its windows see of each other. The layers qkv, behind the
// norm, and out stand around see, which maps [B·windows, side², 3C] to [B·windows, side², C]. The zeros of a padded map
// come in behind the norm.
func (w Windows) Attend(
	x *torch.Tensor, norm *PackedNorm, qkv, out *Packed, see func(qkv *torch.Tensor) *torch.Tensor,
) *torch.Tensor {
	if !w.whole() {
		cut := w.Cut(norm.Forward(x, torch.Float32))
		return w.Join(out.ForwardFloat32(see(qkv.Forward(cut, nil)), nil, nil)).Add(x)
	}
	cut := w.Cut(x)
	return w.Join(out.ForwardFloat32(see(qkv.Forward(cut, norm)), nil, cut))
}

// turned moves what x has in dimension d towards its begin by some steps; what leaves there comes in at the end.
func turned(x *torch.Tensor, d int, steps int64) *torch.Tensor {
	n := x.Dim(d)
	if steps %= n; steps == 0 {
		return x
	}
	return torch.Cat(int64(d), x.Narrow(int64(d), steps, n-steps), x.Narrow(int64(d), 0, steps))
}
