// Package kernels is the C++ of package torch: what libtch lacks or spoils, and the kernels that are captioner's own.
// bridge.h declares it; package torch alone calls it.
//
// It imports no package of Go, so that Go compiles it again only when its C++ changes, which takes more than a minute.
package kernels

// The last flag takes back what package torch sets, so that it is linked without this one: a door that is missing fails
// the build.

// #cgo CXXFLAGS: -DCAPTIONER_OWN_CXX -std=c++17 -O3 -fopenmp
// #cgo LDFLAGS: -ltorch_cpu -lc10 -ldl -fopenmp
// #cgo LDFLAGS: -Wl,-rpath,${SRCDIR}/../../.libtorch/torch/lib -Wl,-rpath,$ORIGIN/../.libtorch/torch/lib
// #cgo LDFLAGS: -Wl,--unresolved-symbols=report-all
// #include "bridge.h"
import "C"
