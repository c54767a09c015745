//go:build cgo && !nolibjpeg

package jpeg

/*
#cgo CFLAGS: -O2
#cgo !libjpegstatic LDFLAGS: -ljpeg
#cgo libjpegstatic LDFLAGS: -l:libjpeg.a
#include <stdio.h>
#include <jpeglib.h>
#include "libjpeg.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// Exact reports that the pixels are those of libjpeg and so of Pillow.
const Exact = true

// Version is the version of libjpeg-turbo's header as it counts, 2001005 for
// 2.1.5, or 0. Versions agree on whole files; only the smoothing of progressive
// files whose last scans are missing changed with 3.0.
const Version = C.LIBJPEG_TURBO_VERSION_NUMBER

// Config reads the header up to the first scan and returns the size in pixels
// and the number of color components (1, 3 or 4).
func Config(b []byte) (w, h, components int, err error) {
	if len(b) == 0 {
		return 0, 0, 0, ErrTruncated
	}
	var r C.result
	C.captioner_jpeg_header(&r, addr(b), C.size_t(len(b)))
	if err := failure(&r, false); err != nil {
		return 0, 0, 0, err
	}
	return int(r.width), int(r.height), int(r.components), nil
}

// Decode decodes b to dst, which holds 3*w*h bytes for the size that Config
// gave: rows from the top, R, G, B. Of a file of four components it also returns
// their samples as the file holds them, four bytes a pixel. If the data ends early the error is
// ErrTruncated, unless allowTruncated is set: then the rest of the image is
// what libjpeg makes of missing data, usually grey.
func Decode(dst, b []byte, allowTruncated bool) (cmyk []byte, err error) {
	w, h, components, err := Config(b)
	if err != nil {
		return nil, err
	}
	if len(dst) != 3*w*h {
		return nil, fmt.Errorf("buffer of %d bytes for %dx%d pixels, want %d", len(dst), w, h, 3*w*h)
	}
	out := dst
	if components == 4 {
		cmyk = make([]byte, 4*w*h)
		out = cmyk
	}
	var r C.result
	C.captioner_jpeg_decode(&r, addr(b), C.size_t(len(b)), addr(out), C.int(w), C.int(h), flag(allowTruncated), maxScans)
	if err := failure(&r, allowTruncated); err != nil {
		return nil, err
	}
	FromCMYK(dst, cmyk) // of nothing where there is none
	return cmyk, nil
}

func addr(b []byte) *C.uchar { return (*C.uchar)(unsafe.Pointer(unsafe.SliceData(b))) }

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// failure turns what the C side found to an error. A failure after the end of
// the data was reached is a truncation, whatever libjpeg called it.
func failure(r *C.result, allowTruncated bool) error {
	switch {
	case r.failed != 0 && r.unsupported != 0:
		return &UnsupportedError{C.GoString(&r.message[0])}
	case r.failed != 0 && r.truncated != 0:
		return ErrTruncated
	case r.failed != 0:
		return errors.New(C.GoString(&r.message[0]))
	case r.truncated != 0 && !allowTruncated:
		return ErrTruncated
	}
	return nil
}
