package bounds

import (
	"encoding/binary"
	"errors"
	"io"
)

// The types of values in Thrift's compact protocol
// (github.com/apache/thrift/blob/v0.22.0/doc/specs/thrift-compact-protocol.md).
const (
	thriftStop = iota
	thriftTrue
	thriftFalse
	thriftByte
	thriftI16
	thriftI32
	thriftI64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStruct
	thriftUUID
)

// maxNesting bounds structs in structs; those of Parquet are five deep.
const maxNesting = 32

// Structs that stand in lists have several required fields: fewer bytes than these each make no footer of Parquet.
const leastStruct = 4

var errThrift = errors.New("it is damaged: no structure of Thrift")

// thriftLength is the length of the struct that b begins with. Each string and list has to fit into b, so that a reader
// reserves memory for nothing that is not there. It returns io.ErrUnexpectedEOF where b ends before the struct does.
func thriftLength(b []byte) (int, error) {
	s := skimmer{b: b}
	if err := s.structure(0); err != nil {
		return 0, err
	}
	if s.structs*leastStruct > len(b)+1024 {
		return 0, errThrift
	}
	return s.at, nil
}

// skimmer walks over a struct.
type skimmer struct {
	b       []byte
	at      int
	structs int // that stand in lists
}

func (s *skimmer) byte() (byte, error) {
	if s.at >= len(s.b) {
		return 0, io.ErrUnexpectedEOF
	}
	s.at++
	return s.b[s.at-1], nil
}

// varint reads a number of at most 10 bytes.
func (s *skimmer) varint() (uint64, error) {
	v, n := binary.Uvarint(s.b[s.at:])
	switch {
	case n == 0:
		return 0, io.ErrUnexpectedEOF
	case n < 0:
		return 0, errThrift
	}
	s.at += n
	return v, nil
}

func (s *skimmer) skip(n uint64) error {
	if n > uint64(len(s.b)-s.at) {
		return io.ErrUnexpectedEOF
	}
	s.at += int(n)
	return nil
}

func (s *skimmer) structure(depth int) error {
	if depth > maxNesting {
		return errThrift
	}
	for {
		head, err := s.byte()
		if err != nil {
			return err
		}
		if head == thriftStop {
			return nil
		}
		if head>>4 == 0 { // the field's number stands behind it
			if _, err := s.varint(); err != nil {
				return err
			}
		}
		kind := int(head & 15)
		if kind == thriftTrue || kind == thriftFalse { // that is its value
			continue
		}
		if err := s.value(kind, depth); err != nil {
			return err
		}
	}
}

// value walks over a value that stands in a struct, or in a list.
func (s *skimmer) value(kind, depth int) error {
	switch kind {
	case thriftTrue, thriftFalse, thriftByte:
		return s.skip(1)
	case thriftI16, thriftI32, thriftI64:
		_, err := s.varint()
		return err
	case thriftDouble:
		return s.skip(8)
	case thriftUUID:
		return s.skip(16)
	case thriftBinary:
		n, err := s.varint()
		if err != nil {
			return err
		}
		return s.skip(n)
	case thriftList, thriftSet:
		return s.list(depth)
	case thriftMap:
		return s.table(depth)
	case thriftStruct:
		return s.structure(depth + 1)
	}
	return errThrift
}

func (s *skimmer) list(depth int) error {
	head, err := s.byte()
	if err != nil {
		return err
	}
	n, kind := uint64(head>>4), int(head&15)
	if n == 15 {
		if n, err = s.varint(); err != nil {
			return err
		}
	}
	return s.values(n, depth, kind)
}

func (s *skimmer) table(depth int) error {
	n, err := s.varint()
	if err != nil || n == 0 {
		return err
	}
	kinds, err := s.byte()
	if err != nil {
		return err
	}
	return s.values(n, depth, int(kinds>>4), int(kinds&15))
}

// values walks over n entries of a list or a map. Each takes a byte or more.
func (s *skimmer) values(n uint64, depth int, kinds ...int) error {
	if n > uint64(len(s.b)-s.at) {
		return io.ErrUnexpectedEOF
	}
	for range n {
		for _, kind := range kinds {
			if kind == thriftStruct {
				s.structs++
			}
			if err := s.value(kind, depth); err != nil {
				return err
			}
		}
	}
	return nil
}
