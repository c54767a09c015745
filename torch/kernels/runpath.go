//go:build !dist

package kernels

// Where a program finds libtorch: in the clone that it was built in, or beside wherever it stands.

// #cgo LDFLAGS: -Wl,-rpath,${SRCDIR}/../../.libtorch/torch/lib
// #cgo linux LDFLAGS: -Wl,-rpath,$ORIGIN/../.libtorch/torch/lib
// #cgo darwin LDFLAGS: -Wl,-rpath,@executable_path/../.libtorch/torch/lib
import "C"
