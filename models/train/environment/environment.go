// Package environment describes by what and on what a training runs.
package environment

import (
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"

	"captioner/torch"
)

// environment is what decides a run beside its options.
type environment struct {
	Version  string   `json:"version,omitempty"`
	Commit   string   `json:"commit,omitempty"` // of the source, "+changes" where it was changed since
	Go       string   `json:"go"`
	LibTorch string   `json:"libtorch"`
	Platform string   `json:"platform"`
	CPUs     int      `json:"cpus"`
	CPU      string   `json:"cpu_capability"` // that libtorch's kernels use
	Features []string `json:"cpu_features"`
	Threads  int      `json:"threads"`          // of one computation
	OneDNN   bool     `json:"linear_by_onednn"` // layers in float32; false: libtorch's BLAS
	Device   string   `json:"device"`
	Host     string   `json:"host"`
}

// JSON describes this process and the device that it computes on; version is that of the program. It runs inside
// torch.Do.
func JSON(version string, device torch.Device) ([]byte, error) {
	e := environment{
		Version:  version,
		Go:       runtime.Version(),
		LibTorch: torch.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CPUs:     runtime.NumCPU(),
		CPU:      torch.CPUCapability(),
		Features: torch.CPUFeatures(),
		Threads:  torch.Threads(),
		OneDNN:   torch.LearnsByOneDNN(),
		Device:   device.String(),
	}
	e.Host, _ = os.Hostname()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				e.Commit = s.Value
			} else if s.Key == "vcs.modified" && s.Value == "true" {
				e.Commit += "+changes"
			}
		}
	}
	b, err := json.MarshalIndent(e, "", "  ")
	return append(b, '\n'), err
}
