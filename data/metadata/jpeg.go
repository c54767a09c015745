package metadata

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"captioner/data/metadata/xmp"
)

// The starts of segments of JPEG files.
const (
	xmpStart       = "http://ns.adobe.com/xap/1.0/\x00"
	extensionStart = "http://ns.adobe.com/xmp/extension/\x00"
	photoshopStart = "Photoshop 3.0\x00"
	mpfStart       = "MPF\x00"
)

// maxSegment is the longest payload of a segment.
const maxSegment = 0xffff - 2

// Markers of JPEG files.
const (
	markSOI, markEOI, markSOS        = 0xd8, 0xd9, 0xda
	markAPP0, markAPP1, markAPP2     = 0xe0, 0xe1, 0xe2
	markAPP13                        = 0xed
	markTEM, markRST0, markRST7      = 0x01, 0xd0, 0xd7
	markSOF0, markSOF15              = 0xc0, 0xcf
	markDHT, markJPG, markArithmetic = 0xc4, 0xc8, 0xcc
)

// jpegFile is a JPEG file as segments and the rest: the first scan and all behind it, which stays as it is.
type jpegFile struct {
	segments []segment
	rest     []byte
	size     int
}

// segment is one segment before the first scan; raw is all of it, with fill bytes and marker.
type segment struct {
	marker       byte
	raw, payload []byte
}

// starts says whether it is an application's segment of a kind.
func (s segment) starts(marker byte, start string) bool {
	return s.marker == marker && bytes.HasPrefix(s.payload, []byte(start))
}

func openJPEG(b []byte) (container, error) {
	j := &jpegFile{size: len(b)}
	frame := false
	for i := 2; ; {
		start := i
		for i < len(b) && b[i] == 0xff {
			i++
		}
		if i == start || i >= len(b) {
			return nil, errors.New("metadata: the JPEG file is damaged before its image")
		}
		marker := b[i]
		i++
		switch {
		case marker == markSOS:
			if !frame {
				return nil, errors.New("metadata: the JPEG file has a scan without a frame")
			}
			j.rest = b[start:]
			return j, wholeScans(b[start:])
		case marker == markEOI, marker == 0, marker == markSOI:
			return nil, errors.New("metadata: the JPEG file has no image")
		case marker == markTEM, marker >= markRST0 && marker <= markRST7:
			j.segments = append(j.segments, segment{marker: marker, raw: b[start:i]})
			continue
		}
		if i+2 > len(b) {
			return nil, errors.New("metadata: the JPEG file ends before its image")
		}
		n := int(binary.BigEndian.Uint16(b[i:]))
		if n < 2 || n > len(b)-i {
			return nil, errors.New("metadata: the JPEG file ends before its image")
		}
		tables := marker == markDHT || marker == markJPG || marker == markArithmetic
		frame = frame || marker >= markSOF0 && marker <= markSOF15 && !tables
		j.segments = append(j.segments, segment{marker, b[start : i+n], b[i+2 : i+n]})
		i += n
	}
}

// wholeScans looks for the end of the image. What stands behind it, of whatever kind, is not looked at.
func wholeScans(b []byte) error {
	for i := 0; i+1 < len(b); i++ {
		if b[i] != 0xff {
			next := bytes.IndexByte(b[i:], 0xff)
			if next < 0 {
				break
			}
			i += next - 1
			continue
		}
		switch m := b[i+1]; {
		case m == markEOI:
			return nil
		case m == 0xff:
		case m == 0, m >= markRST0 && m <= markRST7, m == markTEM:
			i++
		default: // a segment between scans
			if i+4 > len(b) {
				return errTruncatedJPEG
			}
			i += 1 + int(binary.BigEndian.Uint16(b[i+2:]))
		}
	}
	return errTruncatedJPEG
}

var errTruncatedJPEG = errors.New("metadata: the JPEG file ends before its image does")

func (j *jpegFile) find(marker byte, start string) []int {
	var all []int
	for i, s := range j.segments {
		if s.starts(marker, start) {
			all = append(all, i)
		}
	}
	return all
}

func (j *jpegFile) blocks() (b blocks) {
	for n, i := range j.find(markAPP1, xmpStart) {
		packet := j.segments[i].payload[len(xmpStart):]
		if n == 0 {
			b.xmp = packet
		} else {
			b.more = append(b.more, packet)
		}
	}
	if extended := j.extended(); extended != nil {
		b.more = append(b.more, extended)
	}
	if all := j.find(markAPP1, exifStart); len(all) > 0 {
		b.exif = j.segments[all[0]].payload[len(exifStart):]
	}
	if _, resource, ok := j.photoshop(); ok {
		b.iptc = resource.data
	}
	return b
}

// extended puts together the XMP that did not fit into one segment; nil where there is none, or not all of it.
func (j *jpegFile) extended() []byte {
	const head = 32 + 4 + 4 // the digest of it all, its length, and where this part of it begins
	var all []byte
	var id string
	have := 0
	for _, i := range j.find(markAPP1, extensionStart) {
		b := j.segments[i].payload[len(extensionStart):]
		if len(b) < head || id != "" && string(b[:32]) != id {
			continue
		}
		n, at := int64(binary.BigEndian.Uint32(b[32:])), int64(binary.BigEndian.Uint32(b[36:]))
		if id == "" {
			if n > int64(j.size) || n > xmp.MaxBytes {
				return nil
			}
			id, all = string(b[:32]), make([]byte, n)
		}
		if part := b[head:]; at+int64(len(part)) <= int64(len(all)) {
			have += copy(all[at:], part)
		}
	}
	if have != len(all) || have == 0 {
		return nil
	}
	return all
}

func (j *jpegFile) replace(b blocks) ([]byte, error) {
	out := *j
	out.segments = slices.Clone(j.segments)
	if b.exif != nil {
		at := j.find(markAPP1, exifStart)[0]
		if err := out.put(at, markAPP1, exifStart, b.exif); err != nil {
			return nil, err
		}
	}
	if b.iptc != nil {
		at, resource, _ := j.photoshop()
		if err := out.put(at, markAPP13, "", resource.replaced(b.iptc)); err != nil {
			return nil, err
		}
	}
	if b.xmp != nil { // last, for it may move the others
		if err := out.putXMP(b.xmp); err != nil {
			return nil, err
		}
	}
	return out.bytes(j)
}

// putXMP puts a packet in the place of the one that is there, or behind EXIF.
func (j *jpegFile) putXMP(packet []byte) error {
	if len(xmpStart)+len(packet) > maxSegment {
		p, err := xmp.Parse(packet)
		if err != nil {
			return err
		}
		packet = p.Trimmed()
	}
	if all := j.find(markAPP1, xmpStart); len(all) > 0 {
		return j.put(all[0], markAPP1, xmpStart, packet)
	}
	at := 0
	for at < len(j.segments) && (j.segments[at].marker == markAPP0 || j.segments[at].starts(markAPP1, exifStart)) {
		at++
	}
	j.segments = slices.Insert(j.segments, at, segment{})
	return j.put(at, markAPP1, xmpStart, packet)
}

// put makes a segment.
func (j *jpegFile) put(at int, marker byte, start string, data []byte) error {
	payload := append([]byte(start), data...)
	if len(payload) > maxSegment {
		return fmt.Errorf("metadata: a segment of %d bytes, and JPEG takes %d", len(payload), maxSegment)
	}
	n := len(payload) + 2
	raw := append([]byte{0xff, marker, byte(n >> 8), byte(n)}, payload...)
	j.segments[at] = segment{marker, raw, raw[4:]}
	return nil
}

// bytes is the whole file; old is the one that it was made of.
func (j *jpegFile) bytes(old *jpegFile) ([]byte, error) {
	size := 2 + len(j.rest)
	for _, s := range j.segments {
		size += len(s.raw)
	}
	if err := j.moveImages(old, size); err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, size), 0xff, markSOI)
	for _, s := range j.segments {
		out = append(out, s.raw...)
	}
	return append(out, j.rest...), nil
}

// resources is a segment of Photoshop's image resources, of which one is IPTC.
type resources struct {
	payload  []byte
	from, to int // of the IPTC resource's length and data, with padding
	data     []byte
	digest   int // of the data of the resource with IPTC's MD5; 0 for none
}

// photoshop finds the segment that holds IPTC.
func (j *jpegFile) photoshop() (at int, r resources, ok bool) {
	for _, i := range j.find(markAPP13, photoshopStart) {
		if r, ok := parseResources(j.segments[i].payload); ok {
			return i, r, true
		}
	}
	return 0, r, false
}

// parseResources finds IPTC among image resources. Behind it, they may be cut off: the next segment goes on with them.
func parseResources(b []byte) (r resources, ok bool) {
	const iptcID, digestID = 0x0404, 0x0425
	r.payload = b
	for i := len(photoshopStart); i+12 <= len(b) && string(b[i:i+4]) == "8BIM"; {
		id := binary.BigEndian.Uint16(b[i+4:])
		name := 1 + int(b[i+6])
		length := i + 6 + name + name%2
		if length+4 > len(b) {
			break
		}
		n := int64(binary.BigEndian.Uint32(b[length:]))
		data := length + 4
		if n > int64(len(b)-data) {
			break
		}
		end := data + int(n)
		i = min(end+int(n%2), len(b))
		switch {
		case id == iptcID && !ok:
			ok, r.from, r.to, r.data = true, length, i, b[data:end]
		case id == digestID && n == md5.Size:
			r.digest = data
		}
	}
	return r, ok
}

// replaced is the segment with other IPTC, and with its digest if it had one.
func (r resources) replaced(iptc []byte) []byte {
	payload := slices.Clone(r.payload)
	if r.digest > 0 {
		sum := md5.Sum(iptc)
		copy(payload[r.digest:], sum[:])
	}
	middle := binary.BigEndian.AppendUint32(nil, uint32(len(iptc)))
	middle = append(middle, iptc...)
	if len(iptc)%2 != 0 {
		middle = append(middle, 0)
	}
	return slices.Concat(payload[:r.from], middle, payload[r.to:])
}
