// Package kernels is the C++ of package torch: what libtch lacks or spoils, and the kernels that are captioner's own.
// bridge.h declares it; package torch alone calls it.
//
// It imports no package of Go, so that Go compiles it again only when its C++ changes, which takes more than a minute.
//
// With -tags portable the kernels for AVX2 and AVX-512 are left out, as on processors that are not x86-64.
package kernels

// The last flag takes back what package torch sets, so that it is linked without this one: a door that is missing fails
// the build.

// #cgo CXXFLAGS: -DCAPTIONER_OWN_CXX -std=c++17 -O3
// #cgo linux CXXFLAGS: -fopenmp
// #cgo portable CXXFLAGS: -DCAPTIONER_PORTABLE
// #cgo LDFLAGS: -ltorch_cpu -lc10
// #cgo linux LDFLAGS: -ldl -fopenmp -Wl,--unresolved-symbols=report-all
// #include "bridge.h"
import "C"
