package pickle

import (
	"errors"
	"fmt"
)

// maxOps bounds time and memory for files that are large and hostile: what an opcode makes takes about 100 bytes at
// most. A pickle of all captions of COCO has half of it.
const maxOps = 1 << 24

// machine runs the opcodes of one pickle over values of this package. It calls nothing but the functions of calls.go,
// never recurses, and allocates no more for an opcode than a small multiple of the bytes that the opcode takes.
type machine struct {
	input
	operands
	ops   int
	spent int // see charge

	persistent func(id any) (any, error) // nil: persistent ids are an error
	stream     func([]byte) (any, error) // reads a stream inside the pickle; nil inside such a stream
}

// newMachine returns a machine at the start of a pickle. The function stream reads a stream inside it; it may be nil.
func newMachine(in []byte, stream func([]byte) (any, error)) *machine {
	return &machine{input: input{in: in}, stream: stream}
}

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
		return m.pushResult(m.number(op))
	case 'S', 'T', 'U', 'V', 'X', 0x8c, 0x8d, 'B', 'C', 0x8e, 0x96:
		return m.pushResult(m.text(op))
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
		return m.pushResult(m.top())
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
