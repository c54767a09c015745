//go:build !cgo

package resample

var passes = pure
