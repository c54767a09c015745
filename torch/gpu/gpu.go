// Package gpu is C++ of package torch that GPUs alone need: graphs, uploads, and why there is no GPU. gpu.h declares
// it; package torch alone calls it.
package gpu

// #cgo CXXFLAGS: -DCAPTIONER_OWN_CXX -std=c++17 -O2
// #cgo LDFLAGS: -ltorch_cpu -lc10
// #cgo linux LDFLAGS: -ldl -Wl,--unresolved-symbols=ignore-all
// #cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
// #include "gpu.h"
import "C"

import _ "captioner/torch/kernels"
