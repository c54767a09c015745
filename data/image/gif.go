package image

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"io"
)

func gifConfig(b []byte) (int, int, error) {
	w, h, err := size(gif.DecodeConfig(reader(b)))
	if err != nil && len(b) < gifBlocks(b) {
		err = io.ErrUnexpectedEOF
	}
	return w, h, err
}

// decodeGIF decodes the first frame on its screen. What the frame leaves free
// has the transparent color, or without one the first color, as in Pillow.
func decodeGIF(b []byte, _ Options) (*RGB, error) {
	b, free := opaqueGIF(b)
	c, err := gif.DecodeConfig(reader(b))
	if err != nil {
		return nil, err
	}
	m, err := gif.Decode(reader(b))
	switch {
	case err != nil && !holdsGIFFrame(b): // the reader says so only in words
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	frame, ok := m.(*image.Paletted)
	if !ok || frame.Bounds() == image.Rect(0, 0, c.Width, c.Height) {
		return fromGIF(m), nil
	}
	screen := image.NewPaletted(image.Rect(0, 0, c.Width, c.Height), frame.Palette)
	for i := range screen.Pix {
		screen.Pix[i] = free
	}
	r := frame.Rect.Intersect(screen.Rect)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		copy(screen.Pix[screen.PixOffset(r.Min.X, y):][:r.Dx()], frame.Pix[frame.PixOffset(r.Min.X, y):])
	}
	return fromGIF(screen), nil
}

// fromGIF: a palette that counts up from black in steps of one is grey to Pillow, and no palette.
func fromGIF(m image.Image) *RGB {
	out := fromImage(m)
	if p, ok := m.(*image.Paletted); ok && !greyRamp(p.Palette) {
		out.native.mode = modeNearest
	}
	return out
}

func greyRamp(p color.Palette) bool {
	for i, c := range p {
		v := uint32(i) * 0x101
		if r, g, b, _ := c.RGBA(); r != v || g != v || b != v {
			return false
		}
	}
	return true
}

// opaqueGIF returns b with the first frame's transparency taken off, and the
// index that was transparent. The standard library makes transparent pixels
// black; here they keep their color.
func opaqueGIF(b []byte) (_ []byte, transparent uint8) {
	i := gifBlocks(b)
	owned := false
	for i+8 < len(b) && b[i] == '!' {
		// Graphic control: ! f9 04 flags delay delay index 00.
		if b[i+1] == 0xf9 && b[i+2] == 4 && b[i+3]&1 != 0 {
			if !owned {
				b, owned = bytes.Clone(b), true
			}
			b[i+3] &^= 1
			transparent = b[i+6]
		}
		i = afterGIFBlocks(b, i+2)
	}
	return b, transparent
}

// gifBlocks is where the first block of a GIF file stands: after its header and its color table.
func gifBlocks(b []byte) int {
	const header = 13
	if len(b) >= header && b[10]&0x80 != 0 {
		return header + 3<<(b[10]&7+1)
	}
	return header
}

// afterGIFBlocks is where a chain of blocks with data ends that begins at i: beyond the end of b where b ends before
// it.
func afterGIFBlocks(b []byte, i int) int {
	for i < len(b) && b[i] != 0 {
		i += 1 + int(b[i])
	}
	return i + 1
}

// holdsGIFFrame reports whether the data of the first frame is there to its last block.
func holdsGIFFrame(b []byte) bool {
	i := gifBlocks(b)
	for i < len(b) && b[i] == '!' {
		i = afterGIFBlocks(b, i+2)
	}
	if i+9 < len(b) && b[i+9]&0x80 != 0 { // a color table of its own
		i += 3 << (b[i+9]&7 + 1)
	}
	return afterGIFBlocks(b, i+11) <= len(b)
}
