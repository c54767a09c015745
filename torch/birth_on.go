//go:build invariants

package torch

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
)

// birth records where a tensor was made. A finalizer on it reports a handle that nobody freed.
type birth struct {
	stack []byte
	done  bool
}

func (t *Tensor) born() {
	t.birth = &birth{stack: debug.Stack()}
	runtime.AddCleanup(t, func(b *birth) {
		if !b.done {
			fmt.Fprintf(os.Stderr, "torch: tensor never freed, made at\n%s\n", b.stack)
		}
	}, t.birth)
}

func (t *Tensor) died() { t.birth.done = true }

// checkThread asserts that the caller is on the torch thread.
func checkThread() {
	if !onThread() {
		panic("torch: tensor used outside torch.Do")
	}
}
