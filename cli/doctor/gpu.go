package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"captioner/cli/console"
	"captioner/cli/model"
	"captioner/torch"
)

// examineCUDA looks at the CUDA libraries and at each GPU.
func examineCUDA(ctx context.Context, _ model.Loader) []console.Finding {
	var n int
	err := torch.Do(ctx, func() (err error) { n, err = torch.CUDADevices(); return err })
	if err != nil && errors.Is(err, torch.ErrNoGPU) {
		return []console.Finding{withoutCUDA(err), examineGraphs()}
	}
	if err != nil {
		return []console.Finding{withoutCUDA(err)}
	}
	out := []console.Finding{finding("cuda", "ok", fmt.Sprintf("%d devices: --device cuda:0 and on", n), "")}
	if torch.IsStandIn() {
		out[0] = finding("cuda", "note", fmt.Sprintf("a stand-in for tests with %d devices, which computes on the CPU", n),
			"build without the tag standin to use GPUs")
	}
	var all []torch.GPUProperties
	for i := range n {
		found, p := examineGPU(ctx, torch.CUDA(i))
		out, all = append(out, found...), append(all, p)
	}
	if n > 1 && !torch.IsStandIn() {
		out = append(out, together(all)...)
	}
	return append(out, examineGraphs())
}

// examineGraphs says whether this libtorch has what --cuda-graphs takes.
func examineGraphs() console.Finding {
	if err := torch.GraphsReady(); err != nil {
		return finding("cuda graphs", "note", console.OneLine(err), "they are made with libtorch 2.11")
	}
	return finding("cuda graphs", "ok", "libtorch has what recording them takes", "")
}

// withoutCUDA says why there are no GPUs, and whether that is wrong.
func withoutCUDA(err error) console.Finding {
	const library = "libtorch_cuda.so" // the loader names it once more
	why := strings.Replace(console.OneLine(err), library+" did not load: "+library+": ", library+" did not load: ", 1)
	f := finding("cuda", "ok", "not used: "+why, "")
	_, driver := os.Stat("/proc/driver/nvidia/version")
	var cuda *torch.CUDAError
	switch {
	case errors.Is(err, torch.ErrNoGPU) && errors.As(err, &cuda):
		f.Status, f.Remedy = "note", cuda.Hint()
		if driver == nil {
			f.Remedy += "; \"nvidia-smi\" says more"
		}
	case driver == nil:
		f.Status = "note"
		f.Remedy = "this machine has an NVIDIA driver: \"scripts/setup-libtorch --cuda\" fetches libtorch's CUDA libraries"
	}
	return f
}

// examineGPU says what a GPU is and has it multiply.
func examineGPU(ctx context.Context, dev torch.Device) ([]console.Finding, torch.GPUProperties) {
	var p torch.GPUProperties
	var m torch.GPUMemory
	var rates []string
	err := torch.Do(ctx, func() error {
		if !torch.IsStandIn() {
			p = torch.PropertiesOf(dev)
		}
		rates = products(dev)
		m = torch.MemoryOf(dev)
		return nil
	})
	name := dev.String()
	if err != nil {
		remedy := "\"nvidia-smi\" says whether the GPU works"
		if strings.Contains(err.Error(), "no kernel image") {
			remedy = fmt.Sprintf("libtorch was not built for compute capability %d.%d: scripts/setup-libtorch takes another "+
				"version with LIBTORCH_VERSION", p.Major, p.Minor)
		}
		return []console.Finding{finding(name, "broken", console.OneLine(err), remedy)}, p
	}
	memory := fmt.Sprintf("%.1f of %.1f GB free", float64(m.Free)/1e9, float64(m.Total)/1e9)
	what := finding(name, "ok", memory, "")
	if p.Name != "" {
		what.Found = fmt.Sprintf("%s, compute capability %d.%d, %s, driver for CUDA %s, libraries of CUDA %s, cuDNN %s",
			p.Name, p.Major, p.Minor, memory, cudaVersion(p.Driver), cudaVersion(p.Runtime), cudnnVersion(p.CuDNN))
	}
	if m.Free < m.Total/4 {
		what.Status, what.Remedy = "note", "other programs have most of its memory: batches may be halved"
	}
	return []console.Finding{what, finding(name, "ok", strings.Join(rates, ", "), "")}, p
}

// products times a square product in each type: "float32 48.1 TFLOP/s".
func products(dev torch.Device) []string {
	size := int64(8192)
	if torch.IsStandIn() {
		size = 64
	}
	defer torch.AllowTF32(false)
	var out []string
	for _, t := range []struct {
		name string
		d    torch.DType
		tf32 bool
	}{
		{"float32", torch.Float32, false},
		{"TF32", torch.Float32, true},
		{"bfloat16", torch.BFloat16, false},
		{"float16", torch.Float16, false},
	} {
		torch.AllowTF32(t.tf32)
		torch.Scoped(func() {
			x := torch.Full(1/float64(size), t.d, dev, size, size)
			best := time.Duration(1 << 62)
			for range 5 {
				torch.Synchronize(dev)
				start := time.Now()
				torch.Scoped(func() { x.Matmul(x); torch.Synchronize(dev) })
				best = min(best, time.Since(start))
			}
			flops := 2 * float64(size) * float64(size) * float64(size)
			out = append(out, fmt.Sprintf("%s %.3g TFLOP/s", t.name, flops/best.Seconds()/1e12))
		})
	}
	return out
}

// together says how several GPUs reach each other.
func together(all []torch.GPUProperties) []console.Finding {
	nccl := finding("nccl", "ok", "", "")
	if v := all[0].NCCL; v > 0 {
		nccl.Found = fmt.Sprintf("%d.%d.%d: gradients travel between GPUs by it", v/10000, v/100%100, v%100)
	} else {
		nccl.Status, nccl.Found = "note", "libnccl.so.2 is not there: gradients travel through the host"
		nccl.Remedy = "\"scripts/setup-libtorch --cuda\" fetches it"
	}
	pairs := 0
	for _, p := range all {
		pairs += len(p.Peers)
	}
	of := len(all) * (len(all) - 1)
	return []console.Finding{nccl, finding("peers", "ok",
		fmt.Sprintf("%d of %d pairs of GPUs reach each other's memory directly", pairs/2, of/2), "")}
}

// cudaVersion is 13.0 of 13000.
func cudaVersion(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// cudnnVersion is 9.10.2 of 91002.
func cudnnVersion(v int) string {
	if v == 0 {
		return "none"
	}
	return fmt.Sprintf("%d.%d.%d", v/10000, v/100%100, v%100)
}
