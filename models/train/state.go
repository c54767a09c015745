package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// The files of a run folder.
const (
	optionsFile = "options.json"
	stateFile   = "state.safetensors"
	bestFile    = "best.safetensors"
	lastFile    = "last.safetensors" // of the last measurement
	metricsFile = "metrics.jsonl"
	samplesFile = "samples.jsonl"
	eventsFile  = "events.out.tfevents.0.captioner" // TensorBoard knows its files by their names
	spoiltFile  = "spoilt-batch.json"
)

// state is where a run stands. Together with weights, optimizer, average and random state it is all that resuming needs.
type state struct {
	Phase   int     `json:"phase"`
	Step    int     `json:"step"`
	Best    float64 `json:"best"` // of the monitored value, higher is better
	Any     bool    `json:"any"`  // there was a measurement
	Worse   int     `json:"worse"`
	Halved  int     `json:"halved,omitempty"`   // how often plateau has halved the learning rate
	Skipped int     `json:"skipped,omitempty"`  // steps left out because float16 overflowed
	InARow  int     `json:"in_a_row,omitempty"` // of these, the last ones, with none taken since
	Sum     float64 `json:"sum,omitempty"`      // of the losses since the last line of metrics.jsonl
	Summed  int     `json:"summed,omitempty"`   // losses in Sum
	Metrics int64   `json:"metrics"`            // bytes of metrics.jsonl that belong to this state
	Samples int64   `json:"samples,omitempty"`  // of samples.jsonl
	Events  int64   `json:"events,omitempty"`   // of the file for TensorBoard
}

// metaState is the metadata key of the state in a state file; metaInside says whether it was saved inside a phase.
const (
	metaState  = "captioner.train.state"
	metaInside = "captioner.train.inside"
)

func writer(b []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(b); return err }
}

// save writes the checkpoint in the middle of a phase.
func (l *learner) save() error {
	tensors := append(l.weights(), l.adam.Save("adam.")...)
	if l.ema != nil {
		tensors = append(tensors, l.ema.Save("ema.")...)
	}
	if l.scaler != nil {
		tensors = append(tensors, l.scaler.Save("scaler.")...)
	}
	return l.writeState(tensors, true)
}

// saveBetween writes the checkpoint between two phases.
func (t *trainer) saveBetween() error { return t.writeState(t.weights(), false) }

// weights are copies of all that learns.
func (t *trainer) weights() []weights.NamedTensor {
	out := nn.Save(t.model, "model")
	for _, p := range t.eyeParams() {
		out = append(out, p.Tensor.Named("model."+p.Name))
	}
	return out
}

func (t *trainer) writeState(tensors []weights.NamedTensor, inside bool) error {
	if !t.Group.IsLead() {
		return nil
	}
	random := torch.RandomState()
	tensors = append(tensors, weights.NamedTensor{Name: "random", DType: weights.U8, Shape: []int64{int64(len(random))}, Data: random})
	b, err := json.Marshal(t.state)
	if err != nil {
		return err
	}
	meta := map[string]string{metaState: string(b)}
	if inside {
		meta[metaInside] = "true"
	}
	if err := safetensors.WriteFile(filepath.Join(t.dir, stateFile), tensors, meta); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	return nil
}

// loadState puts model, random numbers and position back to the last checkpoint; the rest follows in restore.
func (t *trainer) loadState() error {
	f, err := safetensors.Open(filepath.Join(t.dir, stateFile))
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	defer f.Close()
	if err := json.Unmarshal([]byte(f.Metadata()[metaState]), &t.state); err != nil {
		return fmt.Errorf("resume %q: read %s: %w", t.dir, metaState, err)
	}
	ignore := func(string) bool { return true }
	if err := nn.Load(t.model, f, nn.LoadOptions{Prefix: "model.", Device: t.device, Own: true, Ignore: ignore}); err != nil {
		return fmt.Errorf("resume %q: %w", t.dir, err)
	}
	for _, p := range t.eyeParams() {
		n, err := f.Tensor("model." + p.Name)
		if err != nil {
			return fmt.Errorf("resume %q: %w", t.dir, err)
		}
		torch.NoGrad(func() { torch.Scoped(func() { p.Tensor.Copy(torch.FromNamed(n, false)) }) })
	}
	random, err := f.Tensor("random")
	if err != nil {
		return fmt.Errorf("resume %q: %w", t.dir, err)
	}
	torch.SetRandomState(random.Data)
	return t.cutMetrics()
}

// cutMetrics drops what was written after the checkpoint.
func (t *trainer) cutMetrics() error {
	if !t.Group.IsLead() {
		return nil
	}
	for file, size := range map[string]int64{metricsFile: t.state.Metrics, samplesFile: t.state.Samples, eventsFile: t.state.Events} {
		err := os.Truncate(filepath.Join(t.dir, file), size)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("resume: %w", err)
		}
	}
	return nil
}

// restore puts the optimizer and its company back, where the phase was already under way.
func (l *learner) restore() error {
	if l.state.Step == 0 {
		return nil
	}
	f, err := safetensors.Open(filepath.Join(l.dir, stateFile))
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	defer f.Close()
	if f.Metadata()[metaInside] == "" {
		return nil
	}
	if err := l.adam.Load(f, "adam."); err != nil {
		return fmt.Errorf("resume %q: %w", l.dir, err)
	}
	if l.ema != nil {
		if err := l.ema.Load(f, "ema."); err != nil {
			return fmt.Errorf("resume %q: %w", l.dir, err)
		}
	}
	if l.scaler != nil {
		if err := l.scaler.Load(f, "scaler."); err != nil {
			return fmt.Errorf("resume %q: %w", l.dir, err)
		}
	}
	return nil
}

// log appends an event to metrics.jsonl and its numbers to the file for TensorBoard.
func (t *trainer) log(e Event) error {
	if !t.Group.IsLead() {
		return nil
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := t.append(metricsFile, append(b, '\n'), &t.state.Metrics); err != nil {
		return err
	}
	b = nil
	if t.state.Events == 0 {
		b = boardHeader()
	}
	return t.append(eventsFile, append(b, boardScalars(e)...), &t.state.Events)
}

// append writes behind the first size bytes of a file of the run folder: all that the state knows of.
func (t *trainer) append(file string, b []byte, size *int64) error {
	f, err := os.OpenFile(filepath.Join(t.dir, file), os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := f.Truncate(*size); err != nil { // what a run wrote that ended before its checkpoint
		f.Close()
		return fmt.Errorf("write %s: %w", file, err)
	}
	n, err := f.WriteAt(b, *size)
	*size += int64(n)
	return errors.Join(err, f.Close())
}
