package raw

import (
	"bytes"
	"encoding/binary"
	"strings"

	"captioner/data/ifd"
)

// makes are the kinds of raw files by the begin of the camera's make.
var makes = []struct{ start, kind string }{
	{"NIKON", "NEF"}, {"SONY", "ARW"}, {"PENTAX", "PEF"}, {"RICOH", "PEF"}, {"SAMSUNG", "SRW"},
}

// Magic numbers in the place of TIFF's 42.
const (
	panasonic = 0x0055
	bigTIFF   = 43
)

// jpgFromRaw is the tag in which Panasonic has the JPEG itself.
const jpgFromRaw = 0x002e

// tiffKind tells raw files from other TIFF files.
func tiffKind(b []byte) string {
	f, err := ifd.Parse(b)
	if err != nil || f.Magic == bigTIFF {
		return ""
	}
	switch {
	case f.Magic == panasonic:
		return "RW2"
	case f.Magic != 42:
		return "ORF"
	case len(b) >= 11 && string(b[8:10]) == "CR":
		return "CR2"
	}
	first, err := f.Directory(f.First)
	if err != nil {
		return ""
	}
	if _, ok := first.Find(ifd.DNGVersion); ok {
		return "DNG"
	}
	sensor := false
	walk(f, func(d ifd.Directory) {
		p := f.Number(d, ifd.Photometric, 0)
		sensor = sensor || p == ifd.ColorFilterArray || p == ifd.LinearRaw
	})
	if !sensor {
		return ""
	}
	maker := strings.ToUpper(f.Text(first, ifd.Make))
	for _, m := range makes {
		if strings.HasPrefix(maker, m.start) {
			return m.kind
		}
	}
	return "raw"
}

// The limits of a walk: real files have fewer than ten directories.
const (
	maxDirectories = 64
	maxDepth       = 4
)

// walk visits the directories of a file and those below them, each once.
func walk(f *ifd.File, visit func(ifd.Directory)) {
	seen := make(map[uint64]bool)
	var from func(at uint64, depth int)
	from = func(at uint64, depth int) {
		for at != 0 && depth < maxDepth && !seen[at] && len(seen) < maxDirectories {
			seen[at] = true
			d, err := f.Directory(at)
			if err != nil {
				return
			}
			visit(d)
			if e, ok := d.Find(ifd.SubIFDs); ok {
				for _, below := range f.Numbers(e)[:min(len(f.Numbers(e)), maxDirectories)] {
					from(below, depth+1)
				}
			}
			at = d.Next
		}
	}
	from(f.First, 0)
}

// tiff looks through all directories.
func (s *search) tiff(b []byte) {
	f, err := ifd.Parse(b)
	if err != nil {
		return
	}
	if first, err := f.Directory(f.First); err == nil {
		s.turned(f.Number(first, ifd.Orientation, 0))
		if at := f.Number(first, ifd.EXIF, 0); at != 0 {
			s.notes(f, at)
		}
	}
	walk(f, func(d ifd.Directory) { s.directory(f, d) })
}

// directory takes the JPEG that a directory leads to.
func (s *search) directory(f *ifd.File, d ifd.Directory) {
	s.take(f.Slice(f.Number(d, ifd.JPEGInterchange, 0), f.Number(d, ifd.JPEGInterchangeLength, 0)))
	if e, ok := d.Find(jpgFromRaw); ok {
		s.take(e.Value)
	}
	const oldJPEG, jpeg = 6, 7
	if c := f.Number(d, ifd.Compression, 0); c != oldJPEG && c != jpeg {
		return
	}
	at, ok1 := d.Find(ifd.StripOffsets)
	n, ok2 := d.Find(ifd.StripByteCounts)
	if !ok1 || !ok2 {
		return
	}
	if offsets, counts := f.Numbers(at), f.Numbers(n); len(offsets) == 1 && len(counts) == 1 {
		s.take(f.Slice(offsets[0], counts[0]))
	}
}

// notes looks into the notes of cameras, which have previews with Olympus and Nikon.
func (s *search) notes(f *ifd.File, exif uint64) {
	d, err := f.Directory(exif)
	if err != nil {
		return
	}
	e, ok := d.Find(ifd.MakerNote)
	if !ok || e.Value == nil {
		return
	}
	note := f.Bytes[e.Place:] // what its offsets lead to may lie behind it
	for start, head := range map[string]uint64{"OLYMPUS\x00": 12, "OM SYSTEM\x00": 16} {
		if bytes.HasPrefix(e.Value, []byte(start)) && uint64(len(e.Value)) > head {
			order := binary.ByteOrder(binary.LittleEndian)
			if string(e.Value[head-4:head-2]) == "MM" {
				order = binary.BigEndian
			}
			s.olympus(&ifd.File{Bytes: note, Order: order, Magic: 42}, head)
		}
	}
	const nikonHead = 10
	if bytes.HasPrefix(e.Value, []byte("Nikon\x00")) && len(e.Value) > nikonHead {
		s.nikon(note[nikonHead:])
	}
}

// olympus follows the note of Olympus to its settings, which say where the preview is.
func (s *search) olympus(f *ifd.File, at uint64) {
	const settings, start, length = 0x2020, 0x0101, 0x0102
	d, err := f.Directory(at)
	if err != nil {
		return
	}
	e, ok := d.Find(settings)
	if !ok {
		return
	}
	below := e.Place // the directory itself, in old files
	if e.Type == ifd.Long || e.Type == ifd.IFD {
		below = f.Number(d, settings, 0)
	}
	if d, err = f.Directory(below); err == nil {
		s.take(f.Slice(f.Number(d, start, 0), f.Number(d, length, 0)))
	}
}

// nikon follows the note of Nikon, which is a TIFF structure, to its preview.
func (s *search) nikon(b []byte) {
	const preview = 0x0011
	f, err := ifd.Parse(b)
	if err != nil {
		return
	}
	d, err := f.Directory(f.First)
	if err != nil {
		return
	}
	if d, err = f.Directory(f.Number(d, preview, 0)); err == nil {
		s.directory(f, d)
	}
}
