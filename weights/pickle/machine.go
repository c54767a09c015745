package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
)

const (
	// maxOps bounds time and memory for files that are large and hostile: what an opcode makes takes about 100 bytes at
	// most. A pickle of all captions of COCO has half of it.
	maxOps = 1 << 24
	// maxLong is the length in bytes of the longest integer: Python writes none longer than a few.
	maxLong = 256
)

// machine runs the opcodes of one pickle over values of this package. It calls nothing but the functions of calls.go,
// never recurses, and allocates no more for an opcode than a small multiple of the bytes that the opcode takes.
type machine struct {
	in    []byte
	pos   int
	stack []any
	marks []int       // heights of the stack at MARK opcodes
	memo  []any       // entries 0, 1, 2… as all writers number them
	far   map[int]any // entries with other numbers
	ops   int
	spent int // see charge

	persistent func(id any) (any, error) // nil: persistent ids are an error
	stream     func([]byte) (any, error) // reads a stream inside the pickle; nil inside such a stream
}

var errCut = errors.New("the file is cut off")

// run executes until STOP and returns the value left on the stack; m.pos is then behind the STOP.
func (m *machine) run() (any, error) {
	for {
		if m.pos >= len(m.in) {
			return nil, errCut
		}
		if m.ops++; m.ops > maxOps {
			return nil, fmt.Errorf("more than %d opcodes", maxOps)
		}
		at := m.pos
		op := m.in[at]
		m.pos++
		if op == '.' { // STOP
			v, err := m.pop()
			if err == nil && (len(m.stack) > 0 || len(m.marks) > 0) {
				err = errors.New("values are left on the stack at the end")
			}
			return v, err
		}
		if err := m.step(op); err != nil {
			var refused *RefusedError
			if errors.As(err, &refused) || errors.Is(err, errCut) {
				return nil, err
			}
			return nil, fmt.Errorf("byte %d, opcode 0x%02x: %w", at, op, err)
		}
	}
}

// step executes one opcode, whose names and numbers are those of Python's pickletools.
func (m *machine) step(op byte) error {
	switch op {
	case 'N', 0x88, 0x89, 'I', 'J', 'K', 'M', 'L', 0x8a, 0x8b, 'F', 'G':
		return m.number(op)
	case 'S', 'T', 'U', 'V', 'X', 0x8c, 0x8d, 'B', 'C', 0x8e, 0x96:
		return m.text(op)
	case ')', ']', '}', 0x8f, 0x85, 0x86, 0x87, 't', 'l', 'd', 'a', 'e', 's', 'u', 0x90, 0x91:
		return m.container(op)
	case 'p', 'q', 'r', 'g', 'h', 'j', 0x94:
		return m.memory(op)
	case 'c', 0x93, 'R', 'b', 'i', 'o', 0x81, 0x92, 'Q', 'P':
		return m.object(op)
	}
	switch op {
	case 0x80: // PROTO
		b, err := m.take(1)
		if err == nil && b[0] > 5 {
			err = fmt.Errorf("protocol %d, want at most 5", b[0])
		}
		return err
	case 0x95: // FRAME: the length only helps readers of streams
		_, err := m.take(8)
		return err
	case '(': // MARK
		m.marks = append(m.marks, len(m.stack))
		return nil
	case '0': // POP: also drops a mark
		if n := len(m.marks); n > 0 && m.marks[n-1] == len(m.stack) {
			m.marks = m.marks[:n-1]
			return nil
		}
		_, err := m.pop()
		return err
	case '1': // POP_MARK
		_, err := m.popMark()
		return err
	case '2': // DUP
		v, err := m.top()
		if err == nil {
			m.push(v)
		}
		return err
	case 0x82, 0x83, 0x84:
		return errors.New("extension codes are not supported")
	case 0x97, 0x98:
		return errors.New("buffers outside the pickle are not supported")
	}
	return errors.New("no such opcode")
}

// charge counts n values or bytes that a call copies. A file can have one list copied by many short calls; as a whole
// they may copy about as much as the file holds, which is more than any writer asks for.
func (m *machine) charge(n int) error {
	if m.spent += n; m.spent > 1<<16+2*len(m.in) {
		return errors.New("the file has the same values copied too often")
	}
	return nil
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

// floor is the height below which the values belong to an outer mark.
func (m *machine) floor() int {
	if n := len(m.marks); n > 0 {
		return m.marks[n-1]
	}
	return 0
}

func (m *machine) top() (any, error) {
	if len(m.stack) <= m.floor() {
		return nil, errors.New("the stack is empty")
	}
	return m.stack[len(m.stack)-1], nil
}

func (m *machine) pop() (any, error) {
	v, err := m.top()
	if err == nil {
		m.stack[len(m.stack)-1] = nil
		m.stack = m.stack[:len(m.stack)-1]
	}
	return v, err
}

// popMark returns a copy of the values above the last mark and drops them and the mark.
func (m *machine) popMark() ([]any, error) {
	n := len(m.marks)
	if n == 0 {
		return nil, errors.New("no mark on the stack")
	}
	items := slices.Clone(m.stack[m.marks[n-1]:])
	clear(m.stack[m.marks[n-1]:])
	m.stack = m.stack[:m.marks[n-1]]
	m.marks = m.marks[:n-1]
	return items, nil
}

// take returns the next n bytes of the input, without copying.
func (m *machine) take(n uint64) ([]byte, error) {
	if n > uint64(len(m.in)-m.pos) {
		return nil, errCut
	}
	b := m.in[m.pos : m.pos+int(n) : m.pos+int(n)]
	m.pos += int(n)
	return b, nil
}

// uint reads a little-endian number of 1 to 8 bytes.
func (m *machine) uint(size int) (uint64, error) {
	b, err := m.take(uint64(size))
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

// sized reads a length of size bytes and then as many bytes.
func (m *machine) sized(size int) ([]byte, error) {
	n, err := m.uint(size)
	if err != nil {
		return nil, err
	}
	return m.take(n)
}

func (m *machine) number(op byte) error {
	switch op {
	case 'N':
		m.push(nil)
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		m.push(op == 0x88)
	case 'J', 'K', 'M': // BININT (signed), BININT1, BININT2
		size := map[byte]int{'J': 4, 'K': 1, 'M': 2}[op]
		v, err := m.uint(size)
		if err != nil {
			return err
		}
		if op == 'J' {
			m.push(int64(int32(v)))
		} else {
			m.push(int64(v))
		}
	case 'G': // BINFLOAT: the one big-endian number
		b, err := m.take(8)
		if err != nil {
			return err
		}
		m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case 0x8a, 0x8b: // LONG1, LONG4
		size := 1
		if op == 0x8b {
			size = 4
		}
		b, err := m.sized(size)
		if err != nil {
			return err
		}
		v, err := decodeLong(b)
		if err != nil {
			return err
		}
		m.push(v)
	default:
		return m.numberLine(op)
	}
	return nil
}

// decodeLong reads a little-endian two's complement integer.
func decodeLong(b []byte) (any, error) {
	if len(b) > maxLong {
		return nil, fmt.Errorf("integer of %d bytes, want at most %d", len(b), maxLong)
	}
	if len(b) <= 8 {
		var wide [8]byte
		copy(wide[:], b)
		if len(b) > 0 && b[len(b)-1] >= 0x80 {
			for i := len(b); i < 8; i++ {
				wide[i] = 0xff
			}
		}
		return int64(binary.LittleEndian.Uint64(wide[:])), nil
	}
	be := slices.Clone(b)
	slices.Reverse(be)
	v := new(big.Int).SetBytes(be)
	if be[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(be))))
	}
	return v, nil
}

func (m *machine) memory(op byte) error {
	var i uint64
	var err error
	switch op {
	case 'q', 'h': // BINPUT, BINGET
		i, err = m.uint(1)
	case 'r', 'j': // LONG_BINPUT, LONG_BINGET
		i, err = m.uint(4)
	case 'p', 'g': // PUT, GET
		i, err = m.indexLine()
	case 0x94: // MEMOIZE
		i = uint64(len(m.memo) + len(m.far))
	}
	if err != nil {
		return err
	}
	if op == 'h' || op == 'j' || op == 'g' {
		return m.recall(int(i))
	}
	v, err := m.top()
	if err != nil {
		return err
	}
	m.memoize(int(i), v)
	return nil
}

// memoize never makes room for entries that the file only numbers.
func (m *machine) memoize(i int, v any) {
	switch {
	case i < len(m.memo):
		m.memo[i] = v
	case i == len(m.memo):
		m.memo = append(m.memo, v)
		delete(m.far, i)
	default:
		if m.far == nil {
			m.far = map[int]any{}
		}
		m.far[i] = v
	}
}

func (m *machine) recall(i int) error {
	if i < len(m.memo) {
		m.push(m.memo[i])
		return nil
	}
	v, ok := m.far[i]
	if !ok {
		return fmt.Errorf("memo %d was never stored", i)
	}
	m.push(v)
	return nil
}
