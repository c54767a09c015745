package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
func (t *trainer) writeEnvironment() error {
	if !t.Group.IsLead() {
		return nil
	}
	e := environment{Version: t.Version, Go: runtime.Version(), LibTorch: torch.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(),
		CPU: torch.CPUCapability(), Features: torch.CPUFeatures(), Threads: torch.Threads(), Device: t.device.String()}
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
	return atomicfile.WriteFile(filepath.Join(t.dir, environmentFile), writer(append(b, '\n')))
}

// record notes a measurement: its numbers, its captions, and the curves up to it.
func (t *trainer) record(e Event) error {
	if !t.Group.IsLead() {
		return nil
	}
	if err := t.log(e); err != nil {
		return err
	}
	var lines []byte
	for _, s := range e.Samples {
		b, err := json.Marshal(struct {
			Phase string  `json:"phase"`
			Step  int     `json:"step"`
			Epoch float64 `json:"epoch"`
			Sample
		}{e.Phase, e.Step, e.Epoch, s})
		if err != nil {
			return err
		}
		lines = append(append(lines, b...), '\n')
	}
	if err := t.append(samplesFile, lines, &t.state.Samples); err != nil {
		return err
	}
	return t.drawCurves()
}

// events reads metrics.jsonl.
func (t *trainer) events() ([]Event, error) {
	b, err := os.ReadFile(filepath.Join(t.dir, metricsFile))
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	var out []Event
	for line := range bytes.Lines(b) {
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read %s: %w", metricsFile, err)
		}
		out = append(out, e)
	}
	return out, nil
}

// ErrNotFinite is the cause where a loss or a gradient has become infinite or no number.
var ErrNotFinite = errors.New("a finite number")

// spoilt is the error of a step whose numbers are not finite; the pictures of its last batch are written down.
func (l *learner) spoilt(what string, v float64) error {
	type picture struct {
		ID       string   `json:"id"`
		Path     string   `json:"path"`
		Captions []string `json:"captions"`
	}
	note := struct {
		Phase    string    `json:"phase"`
		Step     int       `json:"step"`
		Pictures []picture `json:"pictures"`
	}{Phase: l.name, Step: l.state.Step}
	for _, i := range l.shown {
		note.Pictures = append(note.Pictures, picture{l.train[i].ID, l.train[i].Name(), l.train[i].Captions})
	}
	err := fmt.Errorf("train: phase %s, step %d: the %s is %g, want %w; the last checkpoint, if there is one, is as it was", l.name, l.state.Step+1, what, v, ErrNotFinite)
	if len(note.Pictures) == 0 {
		return err
	}
	b, jerr := json.MarshalIndent(note, "", "  ")
	if jerr == nil {
		jerr = atomicfile.WriteFile(filepath.Join(l.dir, spoiltFile), writer(append(b, '\n')))
	}
	if jerr != nil {
		return fmt.Errorf("%w (its pictures could not be written down: %w)", err, jerr)
	}
	return fmt.Errorf("%w; the pictures of its last batch are in %s", err, spoiltFile)
}
