// Package c10d is the C++ of package dist: process groups of libtorch, and gradients in buckets. dist.h declares it. It
// imports no package of Go, so that Go compiles it again only when its C++ changes.
package c10d

// The last flag takes back what package dist sets, so that it is linked without this one: a door that is missing fails
// the build.

// #cgo CXXFLAGS: -std=c++17 -O2 -I${SRCDIR}/minigloo
// #cgo LDFLAGS: -ltorch_cpu -lc10
// #cgo linux LDFLAGS: -ldl -Wl,--unresolved-symbols=report-all
// #include "dist.h"
import "C"
