// Package kvcache keeps what a transformer has computed of the texts that it writes: for each layer the keys and
// values of every token so far, and what all texts of an image share. A decoder's session owns one: it puts in the
// keys and values of each new token, and gets back all that the token may look at.
//
// The rows of a step are the texts: those of one image stand next to each other, each image has as many, and images
// keep their order; an image whose rows nobody continues is finished and leaves. The cache may hold them in another
// order, so that beams that go on are not copied.
//
// Letters in shapes: R rows, G images, H heads, D head size, S positions of a text, P positions of a memory, C width.
package kvcache

import (
	"fmt"

	"captioner/torch"
)

// Shape is the size of a cache.
type Shape struct {
	Layers        int
	Heads, Size   int64 // heads of a layer, and the width of one
	Images, Width int   // images of the batch, and rows of each; more rows are allowed, at the price of a larger cache
	Length        int   // most tokens of a text
	Device        torch.Device
	AnyRows       bool // the model's products have one kernel for every number of rows
	Fixed         bool // its tensors stay where they are, so that steps can be recorded: see Recordable
}

// Check says what is wrong with a batch for a model whose texts have at most limit tokens; field is that limit's name.
func (s Shape) Check(limit int64, field string) error {
	switch {
	case s.Images < 1 || s.Width < 1:
		return fmt.Errorf("start decoding: found %d images with %d rows, want 1 or more of each", s.Images, s.Width)
	case s.Length < 1 || int64(s.Length) > limit:
		return fmt.Errorf("start decoding: found texts of %d tokens, want 1 to %s %d", s.Length, field, limit)
	}
	return nil
}

// Cache is for one goroutine, inside torch.Do. Free releases it.
type Cache struct {
	shape  Shape
	t      int64 // positions of each row so far
	before int64 // of which stand before the first step: see Before
	at     slots
	rows   int64           // that text has room for
	room   int64           // tokens that it has room for: Length, or fewer of a long one
	text   *torch.Tensor   // [2 layers, rows, H, room, D]: keys and values of each layer's texts
	shared []*torch.Tensor // [n, images, …]: what all texts of an image share
	fixed  *fixed          // nil for a cache that grows
}

// New makes a cache in which each image has one row without tokens.
func New(s Shape) *Cache {
	c := &Cache{shape: s, at: firstSlots(s.Images)}
	room := min(int64(s.Length), firstRoom)
	if s.Fixed {
		room = (int64(s.Length) + 7) / 8 * 8 // as fused kernels want the rows of a mask
		c.fixed = newFixed(s.Device, room)
	}
	c.grow(int64(s.Images*s.Width), room)
	return c
}

// Ready is the cache of a session for its next batch: a new one of shape s where c is nil, else c again.
func Ready(c *Cache, s Shape) *Cache {
	if c == nil {
		return New(s)
	}
	c.Again()
	return c
}

// Again makes a cache of fixed size ready for the next batch. What is shared must be written anew.
func (c *Cache) Again() { c.at, c.t, c.before = firstSlots(c.shape.Images), 0, 0 }

// firstRoom is the tokens that a cache of long texts has room for at first: most texts are shorter than they may be.
const firstRoom = 64

// Share hands over x [n, images, …], of which each image's part follows the image. The cache frees it.
func (c *Cache) Share(x *torch.Tensor) { c.shared = append(c.shared, x) }

// ShareNew makes a tensor [n, images, …] in float32 and shares it with c, where x is not yet one.
func ShareNew(c *Cache, x **torch.Tensor, shape ...int64) {
	if *x == nil {
		*x = torch.Empty(torch.Float32, c.shape.Device, shape...).Keep()
		c.Share(*x)
	}
}

// Free releases the cache and what is shared. It may be called on nil.
func (c *Cache) Free() {
	if c == nil {
		return
	}
	c.fixed.free()
	c.text.Free()
	for _, x := range c.shared {
		x.Free()
	}
}

// grow makes room for rows and tokens, and keeps what is there.
func (c *Cache) grow(rows, room int64) {
	old, s := c.text, c.shape
	size := []int64{int64(2 * s.Layers), rows, s.Heads, room, s.Size}
	if c.fixed != nil { // a masked position counts 0 times what stands there, which must be a number
		c.fixed.forget()
		c.text = torch.Zeros(torch.Float32, s.Device, size...).Keep()
	} else {
		c.text = torch.Empty(torch.Float32, s.Device, size...).Keep()
	}
	if old != nil {
		torch.Scoped(func() { c.text.Narrow(1, 0, c.rows).Narrow(3, 0, c.t).Copy(old.Narrow(3, 0, c.t)) })
		old.Free()
	}
	c.rows, c.room = rows, room
}

// Next begins a step: row r continues row parents[r] of the step before (nil at the first step: one row an image),
// and is fed tokens[r]. It gives the tokens in the order of the cache, a few more than rows where that suits the
// kernels.
func (c *Cache) Next(parents, tokens []int32) ([]int64, error) {
	if c.t == int64(c.shape.Length) {
		return nil, fmt.Errorf("decoder step: text is full, %d tokens", c.t)
	}
	if (parents == nil) != (c.t == c.before) {
		return nil, fmt.Errorf("decoder step %d: found %d parents, want none at the first step only", c.t, len(parents))
	}
	if parents != nil {
		if err := c.move(parents); err != nil {
			return nil, err
		}
	}
	if len(tokens) != len(c.at.row) {
		return nil, fmt.Errorf("decoder step %d: found %d tokens for %d rows", c.t, len(tokens), len(c.at.row))
	}
	ids := make([]int64, c.Images()*int64(c.at.width))
	for r, row := range c.at.row {
		ids[row] = int64(tokens[r])
	}
	return ids, nil
}

// move brings the cache into the order of the step.
func (c *Cache) move(parents []int32) error {
	next, m, err := c.at.next(parents)
	if err != nil {
		return err
	}
	c.at = next
	if n := int64(len(next.row)); n > c.rows {
		c.grow(n, c.room)
	}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			if len(m.rows) > 0 { // [rows, 2 layers, H, t, D]
				copyRows(c.text.Narrow(3, 0, c.t).Transpose(0, 1), m.rows, m.rowsTo)
			}
			for _, x := range c.shared {
				if len(m.images) > 0 {
					copyRows(x.Transpose(0, 1), m.images, m.imagesTo)
				}
			}
		})
	})
	return nil
}

// copyRows copies rows of x: all are read before any is written.
func copyRows(x *torch.Tensor, from, to []int64) {
	x.IndexCopyRows(torch.Upload(to, x.Device()), x.IndexSelect(0, torch.Upload(from, x.Device())))
}

// Step computes a step on the tokens that Next gave: work makes of them [R] what the step gives. Of a cache of fixed
// size, work is recorded, and must do the same at every position: it asks Position and Own about it.
func (c *Cache) Step(ids []int64, work func(ids *torch.Tensor) *torch.Tensor) *torch.Tensor {
	if c.fixed == nil {
		return work(torch.Upload(ids, c.shape.Device))
	}
	return c.fixed.run(ids, c.at.width, c.t, work)
}

// Position is the row of table [positions, C] that belongs to the step: [C], or [1, C].
func (c *Cache) Position(table *torch.Tensor) *torch.Tensor {
	if c.fixed == nil {
		return table.Select(0, c.t)
	}
	return table.IndexSelect(0, c.fixed.at)
}

// Own puts the keys and values kv [R, 2, H, D] of the step's tokens in a layer, and lets the queries q [R, H, D] look
// at all that their texts have so far: [R, C]. fused is as in Attend.
func (c *Cache) Own(layer int, q, kv *torch.Tensor, fused bool) *torch.Tensor {
	if c.fixed == nil {
		return Attend(q, c.Put(layer, kv), fused)
	}
	all := c.text.Narrow(0, int64(2*layer), 2).Narrow(1, 0, kv.Dim(0)) // [2, R, H, room, D]
	all.Permute(3, 0, 1, 2, 4).IndexCopyRows(c.fixed.at, kv.Transpose(0, 1).Unsqueeze(0))
	x := q.To(torch.Float32).Unsqueeze(2)                                                  // [R, H, 1, D]
	y := torch.Attention(x, all.Select(0, 0), all.Select(0, 1), c.fixed.mask, 0, false, 0) // [R, H, 1, D]
	return y.Reshape(q.Dim(0), -1).To(q.DType())
}

// Done ends the step whose keys and values stand in the cache.
func (c *Cache) Done() { c.t++ }

// Before ends a position that stands before the first step, of what an image's text follows. Each image has one row
// then.
func (c *Cache) Before() {
	c.t++
	c.before++
}

// Fresh says whether the step that Next began is the first.
func (c *Cache) Fresh() bool { return c.t == c.before }

// Rows is how many rows the caller has.
func (c *Cache) Rows() int64 { return int64(len(c.at.row)) }

// Row is where the caller's row r stands in the cache, whose images have Width rows each.
func (c *Cache) Row(r int) int { return c.at.row[r] }

// Width is how many rows an image has.
func (c *Cache) Width() int { return c.at.width }

// Images is how many images the step computes: those that go on, and some that are finished and still stand behind
// them, for a round number. oneDNN's kernels are made for each number of rows that they meet, and kept: with every
// number, that is time and memory. Our own take any.
func (c *Cache) Images() int64 {
	alive := len(c.at.image)
	if c.shape.AnyRows {
		return int64(alive)
	}
	quarter := (c.shape.Images + 3) / 4
	n := (alive + quarter - 1) / quarter * quarter
	return int64(max(alive, min(n, c.shape.Images, int(c.rows)/c.at.width)))
}

// Put writes the keys and values kv [R, 2, H, D] of the step's tokens in a layer, and gives all that its texts have
// so far: [2, R, H, S, D].
func (c *Cache) Put(layer int, kv *torch.Tensor) *torch.Tensor {
	if c.t == c.room {
		c.grow(c.rows, min(2*c.room, int64(c.shape.Length)))
	}
	all := c.text.Narrow(0, int64(2*layer), 2).Narrow(1, 0, kv.Dim(0)) // [2, R, H, Length, D]
	all.Select(3, c.t).Copy(kv.Transpose(0, 1))
	return all.Narrow(3, 0, c.t+1)
}

// Shared gives x's part of the images that the step computes, from number n of its first dimension on, count of them.
func (c *Cache) Shared(x *torch.Tensor, n, count int) *torch.Tensor {
	return x.Narrow(0, int64(n), int64(count)).Narrow(1, 0, c.Images())
}
