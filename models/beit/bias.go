package beit

import "captioner/torch"

// biases are what the heads of each layer add to their logits: a number of the layer's table, of the shared one, or
// both, for how far apart two patches are.
type biases struct {
	// tables are [H, (2G-1)²+3] in float32: of each layer, with the shared one added, or one alone for all layers.
	tables []*torch.Tensor
	grid   int64 // G

	rows  int64           // of the patches that which and ready are for; 0 before the first
	which *torch.Tensor   // [T T]: the column of a table for two tokens
	ready []*torch.Tensor // [1, H, T, T] of each table; nil: to be made when they are wanted
}

// most is how many bytes of ready biases are kept. Those of a BEiT-large are 60 MB for images of 224 pixels.
const most = 64 << 20

// biases are those of m, which Encoder calls for.
func (m *Model) biases() biases {
	b := biases{grid: m.Config.Grid}
	keep := func(tables ...*torch.Tensor) {
		var sum *torch.Tensor
		for _, t := range tables {
			t = t.Detach().To(torch.Float32).Transpose(0, 1) // [H, (2G-1)²+3]
			if sum == nil {
				sum = t
			} else {
				sum = sum.Add(t)
			}
		}
		b.tables = append(b.tables, sum.Clone().Contiguous().Keep())
	}
	switch {
	case m.Config.Apart:
		for i := range m.Blocks {
			if m.Config.Shared {
				keep(m.Blocks[i].Apart, m.Shared)
			} else {
				keep(m.Blocks[i].Apart)
			}
		}
	case m.Config.Shared:
		keep(m.Shared)
	}
	return b
}

// place gets ready for images of rows x rows patches.
func (b *biases) place(rows int64) {
	if len(b.tables) == 0 || rows == b.rows {
		return
	}
	b.forget()
	b.rows = rows
	b.which = torch.Upload(apart(rows), b.tables[0].Device()).Keep()
	t := rows*rows + 1
	if int64(len(b.tables))*b.tables[0].Dim(0)*t*t*4 <= most {
		for i := range b.tables {
			b.ready = append(b.ready, b.make(i).Keep())
		}
	}
}

// of is the bias of a layer's heads, [1, H, T, T].
func (b *biases) of(layer int) *torch.Tensor {
	table := min(layer, len(b.tables)-1)
	if b.ready != nil {
		return b.ready[table]
	}
	return b.make(table)
}

// make reads a bias from its table: [1, H, T, T]. For other rows of patches than it was learned for, the ways between
// patches are interpolated; those to and from the class token stay.
func (b *biases) make(table int) *torch.Tensor {
	x := b.tables[table] // [H, (2G-1)²+3]
	h, t := x.Dim(0), b.rows*b.rows+1
	if b.rows != b.grid {
		old, side := 2*b.grid-1, 2*b.rows-1
		between := x.Narrow(1, 0, ways(b.grid)).Reshape(1, h, old, old)
		between = between.Bilinear(side, side).Reshape(h, side*side) // [H, (2R-1)²]
		x = torch.Cat(1, between, x.Narrow(1, ways(b.grid), 3))
	}
	return x.IndexSelect(1, b.which).View(1, h, t, t)
}

// apart is the row of a table of rows x rows patches for each two tokens, the class token first: [T T].
func apart(rows int64) []int64 {
	fromClass, toClass, alone := ways(rows), ways(rows)+1, ways(rows)+2
	p := rows * rows
	all := make([]int64, 0, (p+1)*(p+1))
	for a := range p + 1 {
		for b := range p + 1 {
			switch {
			case a == 0 && b == 0:
				all = append(all, alone)
			case a == 0:
				all = append(all, fromClass)
			case b == 0:
				all = append(all, toClass)
			default:
				a, b := a-1, b-1
				down, right := a/rows-b/rows, a%rows-b%rows
				all = append(all, (down+rows-1)*(2*rows-1)+right+rows-1)
			}
		}
	}
	return all
}

// forget frees what stands for images of one size.
func (b *biases) forget() {
	b.which.Free()
	for _, t := range b.ready {
		t.Free()
	}
	b.which, b.ready = nil, nil
}

func (b *biases) free() {
	b.forget()
	for _, t := range b.tables {
		t.Free()
	}
}
