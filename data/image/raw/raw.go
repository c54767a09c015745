// Package raw finds the preview in raw files of cameras: DNG, CR2, CR3, NEF, ARW, ORF, RAF, RW2, PEF. Such a file holds
// what the sensor saw, which takes a camera's own recipe to become an image, and beside it a JPEG that the camera made.
// The largest of these is the preview.
//
// No offset is followed before it is looked at, no directory is read twice, and nothing is copied.
package raw

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Preview is a JPEG file within a raw file; its bytes are part of that.
type Preview struct {
	JPEG        []byte
	W, H        int
	Orientation int // of the raw file, 1 to 8; 0 where it has none
}

// ErrNone says that a raw file has no preview.
var ErrNone = errors.New("it has no preview that is a JPEG")

// The begins of files that are no TIFF.
const (
	rafStart = "FUJIFILMCCD-RAW "
	cr3Start = "ftypcrx "
)

// Kind is the kind of raw file that b is, such as "NEF", or "" for any other file. Of the kinds that look like TIFF
// files it needs more than their begin.
func Kind(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte(rafStart)):
		return "RAF"
	case len(b) >= 12 && string(b[4:12]) == cr3Start:
		return "CR3"
	}
	return tiffKind(b)
}

// Find finds the preview of a raw file.
func Find(b []byte) (Preview, error) {
	var s search
	switch kind := Kind(b); kind {
	case "":
		return Preview{}, fmt.Errorf("no raw file")
	case "RAF":
		s.raf(b)
	case "CR3":
		s.cr3(b)
	default:
		s.tiff(b)
	}
	if s.best.JPEG == nil {
		return Preview{}, ErrNone
	}
	s.best.Orientation = s.orientation
	return s.best, nil
}

// search is the search for the largest preview.
type search struct {
	best        Preview
	orientation int
}

// take keeps a JPEG if it is one, and the largest.
func (s *search) take(b []byte) {
	w, h, ok := frame(b)
	if ok && w*h > s.best.W*s.best.H {
		s.best = Preview{JPEG: b, W: w, H: h}
	}
}

// turned notes an orientation, if it is one and the first.
func (s *search) turned(v uint64) {
	if s.orientation == 0 && v >= 1 && v <= 8 {
		s.orientation = int(v)
	}
}

// frame reads the size of a JPEG of eight bits that is coded as browsers know it: the sensor's data may be JPEG as
// well, without loss.
func frame(b []byte) (w, h int, ok bool) {
	if !bytes.HasPrefix(b, []byte("\xff\xd8\xff")) {
		return 0, 0, false
	}
	for i := 2; i+4 <= len(b) && b[i] == 0xff; {
		marker, n := b[i+1], int(binary.BigEndian.Uint16(b[i+2:]))
		switch {
		case marker == 0xff:
			i++
			continue
		case n < 2 || n > len(b)-i-2, marker == 0xda, marker == 0xd9:
			return 0, 0, false
		case marker >= 0xc0 && marker <= 0xc2:
			if n < 8 || b[i+4] != 8 {
				return 0, 0, false
			}
			h, w = int(binary.BigEndian.Uint16(b[i+5:])), int(binary.BigEndian.Uint16(b[i+7:]))
			return w, h, w > 0 && h > 0
		case marker == 0xc3, marker >= 0xc5 && marker <= 0xc7, marker >= 0xc9 && marker <= 0xcf && marker != 0xcc:
			return 0, 0, false
		}
		i += 2 + n
	}
	return 0, 0, false
}

// part is n bytes from an offset on; nil where they do not lie within b.
func part(b []byte, at, n uint64) []byte {
	size := uint64(len(b))
	if at > size || n > size-at || n == 0 {
		return nil
	}
	return b[at : at+n : at+n]
}

// raf reads the table at the begin of a file of Fujifilm.
func (s *search) raf(b []byte) {
	const at = 84 // offset and length of the JPEG
	if len(b) >= at+8 {
		s.take(part(b, uint64(binary.BigEndian.Uint32(b[at:])), uint64(binary.BigEndian.Uint32(b[at+4:]))))
	}
}
