package train

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"captioner/models/checkpoint"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// state is where a run stands. Together with weights, optimizer, average and random state it is all that resuming
// needs.
type state struct {
	Phase   int     `json:"phase"`
	Step    int     `json:"step"`
	Best    float64 `json:"best"`                // of the monitored value, higher is better
	Any     bool    `json:"any"`                 // there was a measurement
	Loss    float64 `json:"best_loss,omitempty"` // validation loss of the best, which chooses among equals
	Worse   int     `json:"worse"`
	Halved  int     `json:"halved,omitempty"`   // how often plateau has halved the learning rate
	Skipped int     `json:"skipped,omitempty"`  // steps left out because float16 overflowed
	InARow  int     `json:"in_a_row,omitempty"` // of these, the last ones, with none taken since
	Sum     float64 `json:"sum,omitempty"`      // of the losses since the last line of metrics.jsonl
	Summed  int     `json:"summed,omitempty"`   // losses in Sum
	Metrics int64   `json:"metrics"`            // bytes of metrics.jsonl that belong to this state
	Samples int64   `json:"samples,omitempty"`  // of samples.jsonl
	Events  int64   `json:"events,omitempty"`   // of the file for TensorBoard

	TrainEvents int64 `json:"train_events,omitempty"` // of its files for one chart of both losses
	ValEvents   int64 `json:"val_events,omitempty"`
}

// metaState is the metadata key of the state in a state file; metaInside says whether it was saved inside a phase.
const (
	metaState  = checkpoint.MetaTrainState
	metaInside = "captioner.train.inside"
)

func (t *trainer) writeState(tensors []weights.NamedTensor, inside bool) error {
	if !t.Group.IsLead() {
		return nil
	}
	random := torch.RandomState(t.device)
	tensors = append(tensors, weights.NamedTensor{
		Name: "random", DType: weights.U8, Shape: []int64{int64(len(random))}, Data: random,
	})
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
	o := nn.LoadOptions{Prefix: "model.", Device: t.device, Own: true, Ignore: ignore}
	if err := nn.Load(t.model.Module(), f, o); err != nil {
		return fmt.Errorf("resume %q: %w", t.dir, err)
	}
	for _, p := range t.encoderParams() {
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
	torch.SetRandomState(random.Data, t.device)
	return t.cutMetrics()
}

// saveBetween writes the checkpoint between two phases.
func (t *trainer) saveBetween() error { return t.writeState(t.weights(), false) }

// save writes the checkpoint in the middle of a phase.
func (l *learner) save() error {
	return l.writeState(append(l.weights(), l.optimizer.tensors()...), true)
}

// restore puts the optimizer back, where the phase was already under way.
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
	if err := l.optimizer.load(f); err != nil {
		return fmt.Errorf("resume %q: %w", l.dir, err)
	}
	return nil
}
