package bounds

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// unpacker unpacks pages into one buffer.
type unpacker struct {
	buffer bytes.Buffer
	zstd   *zstd.Decoder
}

// unpack unpacks a page that has no more than size bytes; the result stands until the next call. Codecs that it does
// not know are left to the reader, which refuses them.
func (u *unpacker) unpack(codec format.CompressionCodec, b []byte, size int64) ([]byte, error) {
	switch codec {
	case format.Snappy:
		n, err := snappy.DecodedLen(b)
		if err == nil && int64(n) > size {
			err = tooLong(size)
		}
		if err != nil {
			return nil, unpacking(err)
		}
		out, err := snappy.Decode(u.space(int(size)), b)
		return out, unpacking(err)
	case format.Lz4Raw:
		out := u.space(int(size))
		n, err := lz4.UncompressBlock(b, out)
		if err != nil {
			return nil, unpacking(err)
		}
		return out[:n], nil
	case format.Gzip:
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, unpacking(err)
		}
		return u.read(z, size)
	case format.Brotli:
		return u.read(brotli.NewReader(bytes.NewReader(b)), size)
	case format.Zstd:
		var err error
		if u.zstd == nil {
			u.zstd, err = zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		} else {
			err = u.zstd.Reset(bytes.NewReader(b))
		}
		if err != nil {
			return nil, unpacking(err)
		}
		return u.read(u.zstd, size)
	}
	return b, nil
}

// space is the buffer with room for size bytes.
func (u *unpacker) space(size int) []byte {
	u.buffer.Reset()
	u.buffer.Grow(size)
	return u.buffer.AvailableBuffer()[:size]
}

// read reads to the end of a page of no more than size bytes.
func (u *unpacker) read(r io.Reader, size int64) ([]byte, error) {
	u.buffer.Reset()
	n, err := u.buffer.ReadFrom(io.LimitReader(r, size+1))
	if err == nil && n > size {
		err = tooLong(size)
	}
	return u.buffer.Bytes(), unpacking(err)
}

func tooLong(size int64) error {
	return fmt.Errorf("more than the %d bytes that its header says", size)
}

func unpacking(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("unpack a page: %w", err)
}
