//go:build dist

package kernels

// Where the program of a package finds libtorch: bin/captioner in lib/captioner, and captioner/bin/captioner of the
// Python package in the package torch beside it. No folder of the machine that built it is named.

// #cgo LDFLAGS: -Wl,-rpath,$ORIGIN/../lib/captioner -Wl,-rpath,$ORIGIN/../../torch/lib
import "C"
