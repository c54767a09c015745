//go:build !invariants

package torch

// birth records where a tensor was made, under -tags invariants only.
type birth struct{}

func (t *Tensor) born() {}
func (t *Tensor) died() {}

// checkThread asserts that the caller is on the torch thread, under -tags invariants only.
func checkThread() {}
