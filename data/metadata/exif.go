package metadata

import (
	"slices"
	"strings"

	"captioner/data/ifd"
)

// exifStart is what comes before the TIFF structure of an EXIF block in most formats.
const exifStart = "Exif\x00\x00"

// changeEXIF is an EXIF block with another ImageDescription, where it has one; nil where it has none, or the same. The
// new text stands behind everything else, so nothing moves.
func changeEXIF(b []byte, text string) []byte {
	f, err := ifd.Parse(b)
	if err != nil {
		return nil
	}
	d, err := f.Directory(f.First)
	if err != nil {
		return nil
	}
	e, ok := d.Find(ifd.ImageDescription)
	old := f.Text(d, ifd.ImageDescription)
	if !ok || e.Type != ifd.ASCII || e.Value == nil || old == text || notes.MatchString(old) {
		return nil
	}
	value := append([]byte(strings.ReplaceAll(text, "\x00", "")), 0)
	return withValue(f, slices.Clone(f.Bytes), e.At, ifd.ASCII, value)
}

// withValue appends a value to out, a copy of f, and lets the entry at an offset lead to it.
func withValue(f *ifd.File, out []byte, entry uint64, kind uint16, value []byte) []byte {
	for len(out)%2 != 0 {
		out = append(out, 0)
	}
	f.Order.PutUint16(out[entry+2:], kind)
	f.PutOffset(out[entry+4:], uint64(len(value)))
	word := f.Word()
	place := out[entry+f.EntrySize()-word:][:word]
	if uint64(len(value)) <= word {
		clear(place)
		copy(place, value)
		return out
	}
	f.PutOffset(place, uint64(len(out)))
	return append(out, value...)
}
