//go:build !linux

package weights

// forget does nothing: Go's standard library gives this advice on Linux alone.
func forget([]byte) {}
