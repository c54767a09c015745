package metadata

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"captioner/data/ifd"
	"captioner/data/image/raw"
)

// tiffFile is a TIFF or BigTIFF file, of which the first directory is changed.
type tiffFile struct {
	*ifd.File
	first ifd.Directory
	raw   string      // kind of a raw file, which is read alone
	image [][2]uint64 // offset and length of each part of its data
}

func openTIFF(b []byte) (container, error) {
	f, err := ifd.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("metadata: the TIFF file: %w", err)
	}
	t := &tiffFile{File: f, raw: raw.Kind(b)}
	d, err := f.Directory(f.First)
	if err != nil {
		return nil, fmt.Errorf("metadata: the TIFF file: %w", err)
	}
	if t.first = d; t.raw != "" {
		return t, nil
	}
	return t, t.whole()
}

// whole refuses a file that ends before the data of its first image do.
func (t *tiffFile) whole() error {
	found := false
	for _, tags := range [][2]uint16{
		{ifd.StripOffsets, ifd.StripByteCounts}, {ifd.TileOffsets, ifd.TileByteCounts},
	} {
		offsets, ok1 := t.first.Find(tags[0])
		counts, ok2 := t.first.Find(tags[1])
		if !ok1 || !ok2 {
			continue
		}
		found = true
		at, n := t.Numbers(offsets), t.Numbers(counts)
		if len(at) == 0 || len(at) != len(n) {
			return errors.New("metadata: the TIFF file does not say where its image is")
		}
		for i := range at {
			if t.Slice(at[i], n[i]) == nil {
				return errors.New("metadata: the TIFF file ends before its image does")
			}
			t.image = append(t.image, [2]uint64{at[i], n[i]})
		}
	}
	if !found {
		return errors.New("metadata: the TIFF file does not say where its image is")
	}
	return nil
}

func (t *tiffFile) blocks() (b blocks) {
	if e, ok := t.first.Find(ifd.XMP); ok {
		b.xmp = e.Value
	}
	b.exif = t.Bytes
	return b
}

// replace appends what is new. All that offsets point to stays where it is.
func (t *tiffFile) replace(b blocks) ([]byte, error) {
	if t.raw != "" {
		return nil, &UnsupportedError{Found: "a raw file of a camera (" + t.raw + ")"}
	}
	out := slices.Clone(t.Bytes)
	if b.exif != nil {
		out = b.exif
	}
	if b.xmp != nil {
		e, ok := t.first.Find(ifd.XMP)
		if !ok {
			out, e.At = t.withEntry(out, ifd.XMP)
		}
		out = withValue(t.File, out, e.At, ifd.Byte, b.xmp)
	}
	if !t.Big() && len(out) > math.MaxUint32 {
		return nil, errors.New("metadata: the TIFF file would be longer than 4 GB")
	}
	for _, part := range t.image {
		if !bytes.Equal(out[part[0]:part[0]+part[1]], t.Bytes[part[0]:part[0]+part[1]]) {
			return nil, errors.New("metadata: the TIFF file's image lies over its directory")
		}
	}
	return out, nil
}

// withEntry appends a copy of the first directory that has one more entry, and lets the header lead to it. The entry is
// at the offset that it returns, and empty.
func (t *tiffFile) withEntry(out []byte, tag uint16) ([]byte, uint64) {
	size := int(t.EntrySize())
	var entries [][]byte
	at := 0
	for _, e := range t.first.Entries {
		if entries = append(entries, out[e.At:][:size]); e.Tag < tag {
			at = len(entries)
		}
	}
	fresh := make([]byte, size)
	t.Order.PutUint16(fresh, tag)
	entries = slices.Insert(entries, at, fresh)

	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	start := uint64(len(out))
	head := make([]byte, 2)
	t.Order.PutUint16(head, uint16(len(entries)))
	if t.Big() {
		head = make([]byte, 8)
		t.Order.PutUint64(head, uint64(len(entries)))
	}
	grown := append(slices.Clip(out), head...)
	for _, e := range entries {
		grown = append(grown, e...)
	}
	next := make([]byte, t.Word())
	t.PutOffset(next, t.first.Next)
	grown = append(grown, next...)
	word := int(t.Word())
	t.PutOffset(grown[word:2*word], start) // of the header: 4 in a classic file, 8 in BigTIFF
	return grown, start + uint64(len(head)+at*size)
}
