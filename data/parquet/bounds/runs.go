package bounds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// padding is how many values a writer may put behind the last of a page: it packs them in groups of at least eight.
const padding = 1024

// checkRuns holds the runs of RLE and bit-packed values (Parquet's hybrid encoding) to a number of values: a run of
// two billion takes six bytes. What is malformed, the reader says.
func checkRuns(b []byte, width, values int) error {
	total := uint64(0)
	for len(b) > 0 {
		head, n := binary.Uvarint(b)
		if n <= 0 {
			return nil
		}
		b = b[n:]
		count, length, most := head>>1, uint64(width+7)/8, uint64(values+padding)
		if head&1 == 1 && count <= most { // groups of eight, packed
			count, length = count*8, count*uint64(width)
		}
		if total += count; count > most || total > most {
			return fmt.Errorf("it is damaged: runs of more than the %d values of a page", values)
		}
		b = b[min(length, uint64(len(b))):]
	}
	return nil
}

// bitWidth is how many bits a level takes.
func bitWidth(most int) int { return bits.Len(uint(most)) }

var errDelta = errors.New("it is damaged: no values of a delta encoding")

// deltas reads the header of values in DELTA_BINARY_PACKED and holds their number to that of the page. It returns their
// sum, where each is a length, and what stands behind them.
func deltas(b []byte, values int, summed bool) (sum uint64, rest []byte, err error) {
	var head [3]uint64 // values of a block, miniblocks of a block, values
	for i := range head {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, nil, errDelta
		}
		head[i], b = v, b[n:]
	}
	first, n := binary.Varint(b)
	if n <= 0 {
		return 0, nil, errDelta
	}
	b = b[n:]
	block, minis, total := head[0], head[1], head[2]
	if block == 0 || block > 1<<16 || minis == 0 || block%minis != 0 || block/minis%8 != 0 {
		return 0, nil, errDelta
	}
	if total > uint64(values+padding) {
		return 0, nil, fmt.Errorf("it is damaged: %d values in a page of %d", total, values)
	}
	if !summed || total == 0 {
		return 0, nil, nil
	}
	d := deltaReader{b: b, mini: int(block / minis), minis: int(minis), value: first}
	return d.sum(total)
}

// deltaReader adds up the values behind the first.
type deltaReader struct {
	b           []byte
	mini, minis int   // values of a miniblock, miniblocks of a block
	value       int64 // the last one
}

func (d *deltaReader) sum(total uint64) (sum uint64, rest []byte, err error) {
	left := total - 1
	if err := d.add(&sum); err != nil {
		return 0, nil, err
	}
	for left > 0 {
		least, n := binary.Varint(d.b)
		if n <= 0 || len(d.b) < n+d.minis {
			return 0, nil, errDelta
		}
		widths := d.b[n : n+d.minis]
		d.b = d.b[n+d.minis:]
		for _, width := range widths {
			if left == 0 {
				break // its miniblock is not there
			}
			length := d.mini * int(width) / 8
			if width > 64 || length > len(d.b) {
				return 0, nil, errDelta
			}
			packed := d.b[:length]
			d.b = d.b[length:]
			for i := 0; i < d.mini && left > 0; i++ {
				d.value += least + int64(unpackBits(packed, i*int(width), int(width)))
				if err := d.add(&sum); err != nil {
					return 0, nil, err
				}
				left--
			}
		}
	}
	return sum, d.b, nil
}

// add takes the last value as a length of bytes, which Parquet keeps in 32 bits.
func (d *deltaReader) add(sum *uint64) error {
	length := int32(d.value)
	if length < 0 {
		return errDelta
	}
	*sum += uint64(length)
	return nil
}

// unpackBits reads width bits, the lowest first, from a bit of b on.
func unpackBits(b []byte, bit, width int) (v uint64) {
	for read := 0; read < width; {
		at := bit + read
		n := min(8-at%8, width-read)
		v |= uint64(b[at/8]>>(at%8)) & (1<<n - 1) << read
		read += n
	}
	return v
}
