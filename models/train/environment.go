package train

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"captioner/torch"
	"captioner/weights/atomicfile"
)

// environmentFile says by what and on what a run was made.
const environmentFile = "environment.json"

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
	Threads  int      `json:"threads"` // of one computation
	Device   string   `json:"device"`
	Host     string   `json:"host"`
}

// writeEnvironment runs on the torch thread.
func (j *journal) writeEnvironment() error {
	if !j.Group.IsLead() {
		return nil
	}
	e := environment{
		Version:  j.Version,
		Go:       runtime.Version(),
		LibTorch: torch.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CPUs:     runtime.NumCPU(),
		CPU:      torch.CPUCapability(),
		Features: torch.CPUFeatures(),
		Threads:  torch.Threads(),
		Device:   j.device.String(),
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
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(j.dir, environmentFile), writer(append(b, '\n')))
}
