package coco

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// member is a file in a zip archive, as the archive's directory describes it.
type member struct {
	name         string
	method       uint16
	crc          uint32
	packed, size int64 // bytes in the archive and out of it
	offset, end  int64 // from its header to what follows it
}

// The records of a zip archive (PKWARE's APPNOTE 6.3.10, sections 4.3.7, 4.3.12 to 4.3.16).
const (
	headerMagic    = 0x04034b50
	directoryMagic = 0x02014b50
	endMagic       = 0x06054b50
	end64Magic     = 0x06064b50
	locator64Magic = 0x07064b50

	headerSize, directorySize, endSize, locator64Size, end64Size = 30, 46, 22, 20, 56
)

var (
	le      = binary.LittleEndian
	errZip  = errors.New("not a zip archive that this version reads")
	storing = uint16(0)
	deflate = uint16(8)
)

// directory reads what an archive of n bytes holds, in the order of the bytes.
func directory(r io.ReaderAt, n int64) ([]member, error) {
	tail := make([]byte, min(n, 1<<16+endSize))
	if _, err := r.ReadAt(tail, n-int64(len(tail))); err != nil && err != io.EOF {
		return nil, err
	}
	at := len(tail) - endSize
	for ; at >= 0 && le.Uint32(tail[at:]) != endMagic; at-- {
	}
	if at < 0 {
		return nil, fmt.Errorf("%w: found no end record in %d bytes", errZip, n)
	}
	count, size, offset := int64(le.Uint16(tail[at+10:])), int64(le.Uint32(tail[at+12:])), int64(le.Uint32(tail[at+16:]))
	if l := at - locator64Size; l >= 0 && le.Uint32(tail[l:]) == locator64Magic {
		b := make([]byte, end64Size)
		if _, err := r.ReadAt(b, int64(le.Uint64(tail[l+8:]))); err != nil && err != io.EOF {
			return nil, err
		}
		if le.Uint32(b) != end64Magic {
			return nil, fmt.Errorf("%w: found no 64-bit end record", errZip)
		}
		count, size, offset = int64(le.Uint64(b[32:])), int64(le.Uint64(b[40:])), int64(le.Uint64(b[48:]))
	}
	if size < 0 || offset < 0 || size > n || offset > n-size || count < 0 || count > size/directorySize {
		return nil, fmt.Errorf("%w: found a directory of %d members in %d bytes at %d of %d", errZip, count, size, offset, n)
	}
	b := make([]byte, size)
	if _, err := r.ReadAt(b, offset); err != nil && err != io.EOF {
		return nil, err
	}
	return members(b, count, offset)
}

// members reads the directory's records; the last member ends where the directory begins.
func members(b []byte, count, begin int64) ([]member, error) {
	var all []member
	for i := range count {
		if len(b) < directorySize || le.Uint32(b) != directoryMagic {
			return nil, fmt.Errorf("%w: found no record of member %d", errZip, i)
		}
		name, extra, comment := int(le.Uint16(b[28:])), int(le.Uint16(b[30:])), int(le.Uint16(b[32:]))
		if len(b) < directorySize+name+extra+comment {
			return nil, fmt.Errorf("%w: the record of member %d is cut off", errZip, i)
		}
		m := member{name: string(b[directorySize : directorySize+name]), method: le.Uint16(b[10:]), crc: le.Uint32(b[16:]),
			packed: int64(le.Uint32(b[20:])), size: int64(le.Uint32(b[24:])), offset: int64(le.Uint32(b[42:]))}
		m.widen(b[directorySize+name : directorySize+name+extra])
		if m.offset < 0 || m.packed < 0 || m.size < 0 || m.offset > begin-headerSize || m.packed > begin-headerSize-m.offset {
			return nil, fmt.Errorf("%w: member %q: found %d bytes at %d, want them before the directory at %d", errZip,
				m.name, m.packed, m.offset, begin)
		}
		if n := len(all); n > 0 {
			if all[n-1].end = m.offset; all[n-1].offset >= m.offset {
				return nil, fmt.Errorf("%w: members are not in the order of their bytes", errZip)
			}
		}
		m.end = begin
		all = append(all, m)
		b = b[directorySize+name+extra+comment:]
	}
	return all, nil
}

// widen takes sizes that do not fit 32 bits from the extra field 1.
func (m *member) widen(extra []byte) {
	for len(extra) >= 4 {
		id, n := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if extra = extra[4:]; n > len(extra) {
			return
		}
		if field := extra[:n]; id == 1 {
			for _, v := range []*int64{&m.size, &m.packed, &m.offset} {
				if *v == 0xffffffff && len(field) >= 8 {
					*v, field = int64(le.Uint64(field)), field[8:]
				}
			}
		}
		extra = extra[n:]
	}
}
