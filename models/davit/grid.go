package davit

import "captioner/torch"

// grid cuts maps of images [B, H, W, C] into windows of a side.
type grid struct{ images, rows, columns, side int64 }

// missing is how many rows and columns the last windows lack.
func (g grid) missing() (rows, columns int64) {
	return (g.side - g.rows%g.side) % g.side, (g.side - g.columns%g.side) % g.side
}

// whole says whether the map is made of whole windows.
func (g grid) whole() bool {
	rows, columns := g.missing()
	return rows == 0 && columns == 0
}

// cut gives the windows of x [B, H, W, C], row by row: [B·windows, side², C]. What the last ones lack is zeros.
func (g grid) cut(x *torch.Tensor) *torch.Tensor {
	rows, columns := g.missing()
	if !g.whole() {
		x = x.Pad(0, 0, 0, columns, 0, rows) // pairs from the last dimension on
	}
	s, c := g.side, x.Dim(3)
	x = x.Reshape(g.images, (g.rows+rows)/s, s, (g.columns+columns)/s, s, c)
	return x.Permute(0, 1, 3, 2, 4, 5).Reshape(-1, s*s, c)
}

// join puts windows back into a map: [B·windows, side², C] to [B, H, W, C].
func (g grid) join(x *torch.Tensor) *torch.Tensor {
	rows, columns := g.missing()
	s, c := g.side, x.Dim(2)
	x = x.View(g.images, (g.rows+rows)/s, (g.columns+columns)/s, s, s, c).Permute(0, 1, 3, 2, 4, 5)
	x = x.Reshape(g.images, g.rows+rows, g.columns+columns, c)
	return x.Narrow(1, 0, g.rows).Narrow(2, 0, g.columns)
}
