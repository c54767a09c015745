package raw

import (
	"bytes"
	"encoding/binary"

	"captioner/data/ifd"
)

// box is one box of the ISO base media format; body is a part of the file.
type box struct {
	name string
	body []byte
}

// maxBoxes bounds the boxes in one.
const maxBoxes = 4096

// boxes lists the whole boxes in b.
func boxes(b []byte) (all []box) {
	for len(b) >= 8 && len(all) < maxBoxes {
		head, n := uint64(8), uint64(binary.BigEndian.Uint32(b))
		switch {
		case n == 0:
			n = uint64(len(b))
		case n == 1 && len(b) >= 16:
			head, n = 16, binary.BigEndian.Uint64(b[8:])
		}
		if n < head || n > uint64(len(b)) {
			return all
		}
		all = append(all, box{string(b[4:8]), b[head:n]})
		b = b[n:]
	}
	return all
}

// The names of boxes of Canon.
const (
	canonUUID   = "\x85\xc0\xb6\x87\x82\x0f\x11\xe0\x81\x11\xf4\xce\x46\x2b\x6a\x48" // in moov: EXIF and a thumbnail
	previewUUID = "\xea\xf4\x2b\x5e\x1c\x98\x4b\x88\xb9\xfb\xb7\xdc\x40\x6e\x4d\x16"
)

// cr3 looks through the boxes of a file: a thumbnail, a preview, and in the first track the image as large as the
// sensor.
func (s *search) cr3(b []byte) {
	for _, top := range boxes(b) {
		switch {
		case top.name == "moov":
			s.movie(b, top.body)
		case top.name == "uuid" && bytes.HasPrefix(top.body, []byte(previewUUID)):
			const skipped = 16 + 8
			if len(top.body) > skipped {
				for _, inner := range boxes(top.body[skipped:]) {
					s.within(inner.body)
				}
			}
		}
	}
}

// movie looks through the box of that name.
func (s *search) movie(b, moov []byte) {
	for _, inner := range boxes(moov) {
		switch {
		case inner.name == "uuid" && bytes.HasPrefix(inner.body, []byte(canonUUID)):
			for _, canon := range boxes(inner.body[16:]) {
				switch canon.name {
				case "CMT1":
					s.exif(canon.body)
				case "THMB":
					s.within(canon.body)
				}
			}
		case inner.name == "trak":
			s.track(b, inner.body)
		}
	}
}

func (s *search) exif(b []byte) {
	if f, err := ifd.Parse(b); err == nil {
		if d, err := f.Directory(f.First); err == nil {
			s.turned(f.Number(d, ifd.Orientation, 0))
		}
	}
}

// within takes the JPEG that stands behind a few numbers in a box.
func (s *search) within(body []byte) {
	const most = 32
	if at := bytes.Index(body[:min(len(body), most)], []byte("\xff\xd8\xff")); at >= 0 {
		s.take(body[at:])
	}
}

// track takes the first sample of a track.
func (s *search) track(b, trak []byte) {
	table := trak
	for _, name := range []string{"mdia", "minf", "stbl"} {
		var inner []byte
		for _, x := range boxes(table) {
			if x.name == name {
				inner = x.body
			}
		}
		if table = inner; table == nil {
			return
		}
	}
	var at, n uint64
	for _, x := range boxes(table) {
		body := x.body
		switch {
		case x.name == "stsz" && len(body) >= 12:
			if n = uint64(binary.BigEndian.Uint32(body[4:])); n == 0 && len(body) >= 16 {
				n = uint64(binary.BigEndian.Uint32(body[12:]))
			}
		case x.name == "co64" && len(body) >= 16:
			at = binary.BigEndian.Uint64(body[8:])
		case x.name == "stco" && len(body) >= 12:
			at = uint64(binary.BigEndian.Uint32(body[8:]))
		}
	}
	s.take(part(b, at, n))
}
