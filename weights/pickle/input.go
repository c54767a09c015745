package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// input holds the bytes of a pickle and reads the arguments of its opcodes.
type input struct {
	in  []byte
	pos int
}

var errCut = errors.New("the file is cut off")

// take returns the next n bytes of the input, without copying.
func (r *input) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.in)-r.pos) {
		return nil, errCut
	}
	b := r.in[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b, nil
}

// uint reads a little-endian number of 1 to 8 bytes.
func (r *input) uint(size int) (uint64, error) {
	b, err := r.take(uint64(size))
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

// sized reads a length of size bytes and then as many bytes.
func (r *input) sized(size int) ([]byte, error) {
	n, err := r.uint(size)
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

// line returns the rest of the line and steps over its end: the arguments of protocol 0.
func (r *input) line() (string, error) {
	n := bytes.IndexByte(r.in[r.pos:], '\n')
	if n < 0 {
		return "", errCut
	}
	s := string(r.in[r.pos : r.pos+n])
	r.pos += n + 1
	return s, nil
}

func (r *input) indexLine() (uint64, error) {
	s, err := r.line()
	if err != nil {
		return 0, err
	}
	i, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("memo number %s, want 0 to 2^31-1", shorten(s))
	}
	return i, nil
}

func (r *input) globalLines() (Global, error) {
	module, err := r.line()
	if err != nil {
		return Global{}, err
	}
	name, err := r.line()
	return newGlobal(module, name), err
}
