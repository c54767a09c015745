//go:build cgo && !nolibtiff

package tiff

/*
#cgo CFLAGS: -O2
#cgo !libtiffstatic LDFLAGS: -ltiff
#cgo libtiffstatic LDFLAGS: -l:libtiff.a -l:libwebp.a -l:libLerc.a -l:libjbig.a -l:libzstd.a -l:liblzma.a
#cgo libtiffstatic LDFLAGS: -l:libjpeg.a -l:libdeflate.a -l:libz.a -lstdc++ -lm -lpthread
#include "libtiff.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"
)

// Exact reports that the files are read as Pillow reads them.
const Exact = true

// extraSamples is the tag that says what the samples beyond the colors are.
const extraSamples = 338

// maxAlloc is the most that libtiff may take at once, in bytes.
const maxAlloc = 1 << 30

// spareBlock is what a tile or strip may hold beyond twice its image, in bytes.
const spareBlock = 32 << 20

// reader is an open file.
type reader struct {
	c      *C.tiff_reader
	info   *C.tiff_info
	header header
	pinned runtime.Pinner
}

// open reads the first directory. The caller closes the reader.
func open(b []byte) (*reader, error) {
	if len(b) == 0 {
		return nil, &Error{ErrTruncated, "0 bytes"}
	}
	r := &reader{info: new(C.tiff_info)}
	r.pinned.Pin(unsafe.SliceData(b))
	r.pinned.Pin(r.info)
	data := (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b)))
	r.c = C.captioner_tiff_open(r.info, data, C.size_t(len(b)), maxAlloc)
	if r.c == nil {
		defer r.close()
		if d, ok := readDirectory(b); ok && d.missing {
			return nil, &Error{ErrTruncated, "data ends before the first directory does"}
		}
		return nil, r.failure()
	}
	r.header = headerOf(r.info)
	if d, ok := readDirectory(b); ok {
		if _, said := d.tag(extraSamples); !said {
			r.header.extra = nil // libtiff makes some up
		}
	}
	return r, nil
}

func (r *reader) close() {
	C.captioner_tiff_close(r.c)
	r.pinned.Unpin()
}

func headerOf(i *C.tiff_info) header {
	h := header{
		w: int(i.width), h: int(i.height),
		photometric: int(i.photometric), bits: int(i.bits), samples: int(i.samples), format: int(i.format),
		planar: i.planar == 2, packed: i.as_rgba != 0,
	}
	for n := range min(int(i.extras), len(i.extra)) {
		h.extra = append(h.extra, int(i.extra[n]))
	}
	for n := range h.palette {
		h.palette[n] = byte(i.palette[n])
	}
	return h
}

// failure is the error that the last call on the reader left, or nil.
func (r *reader) failure() error {
	reason := ErrCorrupt
	switch r.info.failed {
	case 0:
		return nil
	case C.FAILED_CODEC:
		reason = ErrUnsupported
	case C.FAILED_END:
		reason = ErrTruncated
	}
	return &Error{reason, C.GoString(&r.info.message[0])}
}

// Config reads the first directory and returns the size in pixels of the image as it is stored.
func Config(b []byte) (w, h int, err error) {
	r, err := open(b)
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	return r.header.w, r.header.h, nil
}

// Decode decodes the first image in b. It takes about 8 bytes of memory a pixel, up to 32 where
// the samples are many or wide. Callers check the size by Config first.
func Decode(b []byte) (*Image, error) {
	r, err := open(b)
	if err != nil {
		return nil, err
	}
	defer r.close()
	l, err := r.header.layout()
	if err != nil {
		return nil, err
	}
	if err := r.checkBlocks(); err != nil {
		return nil, err
	}
	m := &Image{W: r.header.w, H: r.header.h, Pix: make([]byte, 3*r.header.w*r.header.h), Mode: l.mode}
	read := r.readRGBA
	if !r.header.packed {
		m.Samples = make([]byte, l.mode.sampleBytes()*m.W*m.H)
		read = func(m *Image) error { return r.readBlocks(m, l) }
	}
	if err := read(m); err != nil {
		return nil, err
	}
	return m, nil
}

// checkBlocks refuses strips and tiles whose sizes do not fit each other or their image.
func (r *reader) checkBlocks() error {
	h, i := r.header, r.info
	want := uint64(i.block_height) * uint64(h.rowBytes(int(i.block_width)))
	whole := uint64(h.h) * uint64(h.rowBytes(h.w))
	switch {
	case i.block_width == 0 || i.block_height == 0:
		return &Error{ErrCorrupt, "strips or tiles without pixels"}
	case want > 2*whole+spareBlock || uint64(i.block_bytes) > 2*whole+spareBlock:
		what := fmt.Sprintf("tiles of %d x %d pixels for an image of %d x %d", i.block_width, i.block_height, h.w, h.h)
		return &Error{ErrUnsupported, what}
	case !h.packed && want != uint64(i.block_bytes):
		return &Error{ErrCorrupt, fmt.Sprintf("strips or tiles of %d bytes, want %d", uint64(i.block_bytes), want)}
	}
	return nil
}

// readBlocks decodes each strip or tile and makes pixels of its rows.
func (r *reader) readBlocks(m *Image, l layout) error {
	h, bw, bh := r.header, int(r.info.block_width), int(r.info.block_height)
	planes := 1
	if h.planar {
		planes = l.planes
	}
	row := h.rowBytes(bw)
	block := make([]byte, row*bh)
	samples := make([][]byte, planes) // a row of the block, in each plane
	blocks := make([]byte, len(block)*planes)
	for y := 0; y < m.H; y += bh {
		for x := 0; x < m.W; x += bw {
			for p := range planes {
				part := blocks[p*len(block):][:len(block)]
				if err := r.block(x, y, p, part); err != nil {
					return err
				}
			}
			w := min(bw, m.W-x)
			for n := range min(bh, m.H-y) {
				for p := range planes {
					samples[p] = blocks[p*len(block)+n*row:][:row]
				}
				l.unpack(m, x, y+n, w, samples)
			}
		}
	}
	return nil
}

func (r *reader) block(x, y, plane int, out []byte) error {
	to := (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(out)))
	C.captioner_tiff_block(r.c, C.uint32_t(x), C.uint32_t(y), C.uint16_t(plane), to, C.size_t(len(out)))
	return r.failure()
}

// readRGBA lets libtiff make the pixels.
func (r *reader) readRGBA(m *Image) error {
	pix := make([]byte, 4*m.W*m.H)
	C.captioner_tiff_rgba(r.c, (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(pix))))
	for i := range m.W * m.H {
		copy(m.Pix[3*i:3*i+3], pix[4*i:])
	}
	return r.failure()
}
