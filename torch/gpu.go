package torch

// #include "gpu/gpu.h"
import "C"

import (
	"errors"
	"strings"
	"sync"
	"unsafe"
)

// ErrNoGPU is why CUDADevices finds none although the CUDA libraries are there.
var ErrNoGPU = errors.New("libtorch's CUDA library is here, and finds no GPU")

// ErrNoCUDA is why CUDADevices finds none where this libtorch is for the CPU alone, or where a library that it needs is
// not there.
var ErrNoCUDA = errors.New("libtorch's CUDA library did not load")

// A CUDAError says why CUDADevices finds no GPU. It wraps ErrNoGPU or ErrNoCUDA.
type CUDAError struct {
	Kind   error
	Reason string // of the driver, or of the loader
}

func (e *CUDAError) Error() string { return e.Kind.Error() + ": " + e.Reason }

// Unwrap returns the kind.
func (e *CUDAError) Unwrap() error { return e.Kind }

// Hint says what may help.
func (e *CUDAError) Hint() string {
	switch {
	case e.Kind == ErrNoCUDA:
		return "\"scripts/setup-libtorch --cuda\" fetches it, or links that of a Python torch (docs/gpu.md)"
	case strings.Contains(e.Reason, "CUDA_VISIBLE_DEVICES"):
		return "unset CUDA_VISIBLE_DEVICES, or give it the number of a GPU that \"nvidia-smi -L\" lists"
	case strings.Contains(e.Reason, "kernel module"):
		return "restart the machine after an update of the driver"
	}
	return "install NVIDIA's driver, 580 or later for CUDA 13; a container needs --gpus all"
}

var (
	cudaOnce sync.Once
	cudaN    int
	cudaErr  error
	standIn  bool
)

// CUDADevices is the number of GPUs that libtorch can use. It loads the CUDA libraries at its first call; the error
// says why they are not there. Nothing else in this package asks libtorch about CUDA before.
func CUDADevices() (int, error) {
	cudaOnce.Do(func() {
		if e := C.ct_open_cuda(); e != nil {
			cudaErr = &CUDAError{ErrNoCUDA, takeError(unsafe.Pointer(e))}
			return
		}
		if cudaN = int(C.ct_count_gpus()); cudaN == 0 {
			cudaErr = &CUDAError{ErrNoGPU, takeError(unsafe.Pointer(C.ct_no_gpu()))}
		}
	})
	return cudaN, cudaErr
}

// ReplaceCUDA puts n devices of another of libtorch's types (a c10::DeviceType) in the place of CUDA's: CUDA(0) is then
// the first of them. graphs is a struct ct_graph_calls of gpu/gpu.h, which records on them. It is for package
// torch/standin, before anything asks for a GPU.
func ReplaceCUDA(kind, n int, graphs unsafe.Pointer) {
	cudaOnce.Do(func() {
		C.ct_use_graphs((*C.struct_ct_graph_calls)(graphs))
		C.ct_use_gpus(C.int(kind), C.int(n))
		cudaN, standIn = n, true
	})
}

// IsStandIn says whether what is called CUDA here is the stand-in of tests.
func IsStandIn() bool { return standIn }

// GPUMemory is the memory of a GPU, in bytes.
type GPUMemory struct {
	Free, Total int64 // of the whole GPU, whoever uses it
	Used, Peak  int64 // in tensors of this process, now and at most so far
	Kept        int64 // kept by this process for tensors to come
}

// MemoryOf is the memory of GPU dev now. Inside Do.
func MemoryOf(dev Device) GPUMemory {
	var m C.struct_ct_gpu_use
	checkBridge("gpu memory", C.ct_gpu_memory(C.int(dev.index()), &m))
	return GPUMemory{int64(m.free), int64(m.total), int64(m.used), int64(m.peak), int64(m.kept)}
}

// ReleaseGPUMemory gives back what libtorch keeps of the GPUs' memory for tensors to come. Inside Do, after
// CUDADevices.
func ReleaseGPUMemory() { checkBridge("release gpu memory", C.ct_gpu_release()) }

// Synchronize waits until dev has done all that it was asked for; on the CPU that is always so. Inside Do.
func Synchronize(dev Device) {
	if dev.IsCUDA() {
		checkBridge("synchronize", C.ct_synchronize(C.int(dev.index())))
	}
}

// AllowTF32 lets GPUs round the inputs of products and convolutions in float32 to 10 bits behind the point, which is
// several times as quick; they do not, unless asked. Inside Do.
func AllowTF32(on bool) { checkBridge("allow tf32", C.ct_allow_tf32(cint(on))) }

// GPUProperties is what a GPU and its libraries are. Versions are as NVIDIA writes them; 0 for what is not there.
type GPUProperties struct {
	Name                         string
	Major, Minor                 int // of the compute capability
	Driver, Runtime, CuDNN, NCCL int // 13000 for CUDA 13.0; 91002 for cuDNN 9.10.2; 22705 for NCCL 2.27.5
	Peers                        []int
}

// PropertiesOf asks NVIDIA's driver about GPU dev. Inside Do, after CUDADevices.
func PropertiesOf(dev Device) GPUProperties {
	var p C.struct_ct_gpu_properties
	checkBridge("gpu properties", C.ct_gpu_info(C.int(dev.index()), &p))
	out := GPUProperties{Name: C.GoString(&p.name[0]), Major: int(p.major), Minor: int(p.minor), Driver: int(p.driver),
		Runtime: int(p.runtime), CuDNN: int(p.cudnn), NCCL: int(p.nccl)}
	for i := range 32 {
		if p.peers>>i&1 != 0 {
			out.Peers = append(out.Peers, i)
		}
	}
	return out
}
