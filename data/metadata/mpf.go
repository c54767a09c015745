package metadata

import (
	"errors"
	"slices"

	"captioner/data/ifd"
)

// moveImages mends the index of a file of several images (CIPA DC-007): it says how long the first image is, and how
// far behind the index the others begin. size is that of the file that is being made.
func (j *jpegFile) moveImages(old *jpegFile, size int) error {
	_, from, ok := old.index()
	after, to, still := j.index()
	if !ok || !still {
		return nil
	}
	payload := slices.Clone(j.segments[after].payload)
	f, err := ifd.Parse(payload[len(mpfStart):])
	if err != nil {
		return errors.New("metadata: its index of images is damaged")
	}
	d, err := f.Directory(f.First)
	if err != nil {
		return errors.New("metadata: its index of images is damaged")
	}
	const imagesTag, entrySize = 0xb002, 16
	images, ok := d.Find(imagesTag)
	if !ok || images.Value == nil {
		return nil
	}
	if s := j.segments[after]; len(s.raw) != len(s.payload)+4 {
		return errors.New("metadata: fill bytes stand before its index of images")
	}
	grown := int64(size - old.size)
	moved := grown - int64(to-from) // how much farther behind the index the other images are
	for i := 0; i+entrySize <= len(images.Value); i += entrySize {
		length, offset := images.Value[i+4:], images.Value[i+8:]
		if at := f.Order.Uint32(offset); at != 0 {
			f.Order.PutUint32(offset, uint32(int64(at)+moved))
		} else {
			f.Order.PutUint32(length, uint32(int64(f.Order.Uint32(length))+grown))
		}
	}
	return j.put(after, markAPP2, "", payload)
}

// index finds the segment with the index of images, and where its offsets count from in the file.
func (j *jpegFile) index() (at, offset int, ok bool) {
	offset = 2
	for i, s := range j.segments {
		if s.starts(markAPP2, mpfStart) {
			return i, offset + len(s.raw) - len(s.payload) + len(mpfStart), true
		}
		offset += len(s.raw)
	}
	return -1, 0, false
}
