package torch

import (
	"errors"
	"fmt"
	"strings"
)

// OpError says which op failed, on what shapes, and why, in one line.
type OpError struct {
	Op     string    // "matmul"
	Shapes [][]int64 // of the tensors that the op was given, in order; nil for one that is absent or was freed
	Msg    string    // libtorch's own first line, or ours
}

// OutOfMemory says whether the op failed because the memory of its device was used up. libtorch tells it by its text
// alone.
func (e *OpError) OutOfMemory() bool {
	return strings.Contains(e.Msg, "out of memory") || strings.Contains(e.Msg, "CUBLAS_STATUS_ALLOC_FAILED") ||
		strings.Contains(e.Msg, "cannot allocate") || strings.Contains(e.Msg, "can't allocate memory")
}

// Hint says what needs less memory, where that is what was missing.
func (e *OpError) Hint() string {
	if e.OutOfMemory() {
		return "a smaller --batch-size needs less memory (train: with more --accumulate-grad-batches it learns the same)"
	}
	return ""
}

// Error is one line: "matmul [2 3] [2 3]: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)".
func (e *OpError) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	for _, s := range e.Shapes {
		if s == nil {
			b.WriteString(" -")
		} else {
			fmt.Fprintf(&b, " %v", s)
		}
	}
	return b.String() + ": " + e.Msg
}

// ErrClosed is returned by Do when its context ended before the torch thread was free.
var ErrClosed = errors.New("torch: context ended while waiting for the torch thread")

// opPanic carries an OpError from an op to Do. Nothing else recovers it.
type opPanic struct{ err *OpError }

// Fail ends the current Do with an OpError, for checks that model code makes itself.
func Fail(op, format string, args ...any) {
	panic(opPanic{&OpError{Op: op, Msg: fmt.Sprintf(format, args...)}})
}

// fail ends the current Do; ts are the tensors that op was given.
func fail(op, msg string, ts []*Tensor) {
	if i := strings.Index(msg, "\nException raised from"); i >= 0 {
		msg = msg[:i]
	}
	msg = strings.Join(strings.Fields(msg), " ")
	e := &OpError{Op: op, Msg: msg}
	for _, t := range ts {
		if t == nil || t.c == nil {
			e.Shapes = append(e.Shapes, nil)
		} else {
			e.Shapes = append(e.Shapes, t.Shape())
		}
	}
	panic(opPanic{e})
}
