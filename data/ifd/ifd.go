// Package ifd reads the directories of TIFF structures: TIFF and BigTIFF files, EXIF blocks, raw files of cameras. It
// trusts nothing in them: every offset is looked at before it is followed, and no value is longer than the data.
package ifd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Tags that several formats share.
const (
	NewSubfileType              = 0x00fe
	ImageWidth                  = 0x0100
	ImageLength                 = 0x0101
	Compression                 = 0x0103
	Photometric                 = 0x0106
	ImageDescription            = 0x010e
	Make                        = 0x010f
	StripOffsets                = 0x0111
	Orientation                 = 0x0112
	StripByteCounts             = 0x0117
	DateTime                    = 0x0132
	TileOffsets                 = 0x0144
	TileByteCounts              = 0x0145
	SubIFDs                     = 0x014a
	JPEGInterchange             = 0x0201
	JPEGInterchangeLength       = 0x0202
	XMP                         = 0x02bc
	IPTC                        = 0x83bb
	EXIF                        = 0x8769
	DateTimeOriginal            = 0x9003
	MakerNote                   = 0x927c
	DNGVersion                  = 0xc612
	ColorFilterArray, LinearRaw = 32803, 34892 // values of Photometric that are no picture for people
)

// Types of values.
const (
	Byte      = 1
	ASCII     = 2
	Short     = 3
	Long      = 4
	Undefined = 7
	IFD       = 13
	Long8     = 16
	IFD8      = 18
)

// maxEntries is how many entries a directory may have; real ones have fewer than a hundred.
const maxEntries = 4096

// File is a TIFF structure. Offsets count from the begin of its bytes.
type File struct {
	Bytes []byte
	Order binary.ByteOrder
	Magic uint16 // 42, 43 for BigTIFF, or what a camera writes in its place
	First uint64 // offset of the first directory
}

// Entry is one entry of a directory.
type Entry struct {
	Tag, Type uint16
	Count     uint64
	At        uint64 // offset of the entry itself
	Value     []byte // of Count values, part of the file; nil where it does not lie within it
	Place     uint64 // offset of the value
}

// Directory is one directory.
type Directory struct {
	At      uint64
	Entries []Entry
	Next    uint64 // offset of the next directory; 0 for none
}

// Parse reads the header. The magic numbers are those of TIFF and of the cameras of Olympus and Panasonic.
func Parse(b []byte) (*File, error) {
	f := &File{Bytes: b}
	switch {
	case bytes.HasPrefix(b, []byte("II")):
		f.Order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte("MM")):
		f.Order = binary.BigEndian
	default:
		return nil, fmt.Errorf("found %q, want II or MM", b[:min(len(b), 2)])
	}
	if len(b) < 8 {
		return nil, errors.New("its header is cut off")
	}
	const olympus, olympusOld, panasonic = 0x4f52, 0x5352, 0x0055
	switch f.Magic = f.Order.Uint16(b[2:]); f.Magic {
	case 42, olympus, olympusOld, panasonic:
		f.First = uint64(f.Order.Uint32(b[4:]))
	case 43:
		if len(b) < 16 || f.Order.Uint16(b[4:]) != 8 || f.Order.Uint16(b[6:]) != 0 {
			return nil, errors.New("its BigTIFF header is damaged")
		}
		f.First = f.Order.Uint64(b[8:])
	default:
		return nil, fmt.Errorf("found the number %d, want 42 or 43", f.Magic)
	}
	return f, nil
}

// Big says whether offsets have eight bytes.
func (f *File) Big() bool { return f.Magic == 43 }

// EntrySize is how many bytes an entry has; its value, or the offset of that, stands at its end.
func (f *File) EntrySize() uint64 {
	if f.Big() {
		return 20
	}
	return 12
}

// Word is the size of an offset, and of the values that stand in the entry itself.
func (f *File) Word() uint64 {
	if f.Big() {
		return 8
	}
	return 4
}

// Offset reads an offset.
func (f *File) Offset(b []byte) uint64 {
	if f.Big() {
		return f.Order.Uint64(b)
	}
	return uint64(f.Order.Uint32(b))
}

// PutOffset writes an offset.
func (f *File) PutOffset(b []byte, v uint64) {
	if f.Big() {
		f.Order.PutUint64(b, v)
		return
	}
	f.Order.PutUint32(b, uint32(v))
}

// slice is part of the file; nil where that does not lie within it.
func (f *File) slice(at, n uint64) []byte {
	size := uint64(len(f.Bytes))
	if at > size || n > size-at {
		return nil
	}
	return f.Bytes[at : at+n : at+n]
}

// Slice is n bytes of the file from an offset on; nil where they do not lie within it.
func (f *File) Slice(at, n uint64) []byte { return f.slice(at, n) }

// Directory reads the directory at an offset.
func (f *File) Directory(at uint64) (Directory, error) {
	d := Directory{At: at}
	head := uint64(2)
	if f.Big() {
		head = 8
	}
	b := f.slice(at, head)
	if b == nil || at < 8 {
		return d, fmt.Errorf("a directory at byte %d of %d", at, len(f.Bytes))
	}
	n := uint64(f.Order.Uint16(b))
	if f.Big() {
		n = f.Order.Uint64(b)
	}
	if n > maxEntries {
		return d, fmt.Errorf("a directory of %d entries, limit %d", n, maxEntries)
	}
	size := f.EntrySize()
	if f.slice(at+head, n*size+f.Word()) == nil {
		if f.slice(at+head, n*size) == nil {
			return d, fmt.Errorf("a directory of %d entries at byte %d of %d", n, at, len(f.Bytes))
		}
	} else {
		d.Next = f.Offset(f.slice(at+head+n*size, f.Word()))
	}
	for i := range n {
		d.Entries = append(d.Entries, f.entry(at+head+i*size))
	}
	return d, nil
}

// entry reads the entry at an offset, which lies within the file.
func (f *File) entry(at uint64) Entry {
	b := f.slice(at, f.EntrySize())
	e := Entry{Tag: f.Order.Uint16(b), Type: f.Order.Uint16(b[2:]), Count: f.Offset(b[4:]), At: at}
	word := f.Word()
	e.Place = at + f.EntrySize() - word
	size := typeSize(e.Type)
	if size == 0 || e.Count > uint64(len(f.Bytes)) {
		return e
	}
	if size *= e.Count; size > word {
		e.Place = f.Offset(b[f.EntrySize()-word:])
	}
	e.Value = f.slice(e.Place, size)
	return e
}

// typeSize is the size of a value; 0 for types that do not exist.
func typeSize(t uint16) uint64 {
	sizes := [...]uint64{0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8}
	if int(t) >= len(sizes) {
		return 0
	}
	return sizes[t]
}

// Find finds an entry.
func (d Directory) Find(tag uint16) (Entry, bool) {
	for _, e := range d.Entries {
		if e.Tag == tag {
			return e, true
		}
	}
	return Entry{}, false
}

// Numbers are the whole numbers of an entry; nil where it holds others.
func (f *File) Numbers(e Entry) (all []uint64) {
	size := typeSize(e.Type)
	switch e.Type {
	case Byte, Undefined, Short, Long, IFD, Long8, IFD8:
	default:
		return nil
	}
	for b := e.Value; uint64(len(b)) >= size && size > 0; b = b[size:] {
		switch size {
		case 1:
			all = append(all, uint64(b[0]))
		case 2:
			all = append(all, uint64(f.Order.Uint16(b)))
		case 4:
			all = append(all, uint64(f.Order.Uint32(b)))
		case 8:
			all = append(all, f.Order.Uint64(b))
		}
	}
	return all
}

// Number is the first number of a tag, or missing where there is none.
func (f *File) Number(d Directory, tag uint16, missing uint64) uint64 {
	if e, ok := d.Find(tag); ok {
		if all := f.Numbers(e); len(all) > 0 {
			return all[0]
		}
	}
	return missing
}

// Text is the text of a tag up to its first NUL; "" where there is none.
func (f *File) Text(d Directory, tag uint16) string {
	e, ok := d.Find(tag)
	if !ok || e.Type != ASCII && e.Type != Byte && e.Type != Undefined {
		return ""
	}
	text, _, _ := bytes.Cut(e.Value, []byte{0})
	return string(text)
}
