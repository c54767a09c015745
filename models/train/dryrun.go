package train

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights/plural"
)

// dryRunSteps is how many steps of each phase a dry run takes.
const dryRunSteps = 2

// dryRun tells what the run would do and what it would need, and takes two steps of each phase on its first images,
// in a folder that goes away again.
func (t *trainer) dryRun(ctx context.Context) error {
	t.DryRun = false
	plan := t.phases()
	t.tellPlan()
	t.DryRun = true
	if err := t.tellSizes(ctx); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "captioner-dry-run-")
	if err != nil {
		return fmt.Errorf("dry run: %w", err)
	}
	defer os.RemoveAll(dir)
	t.dir, t.cache = dir, dir
	t.train = t.train[:min(len(t.train), dryRunSteps*max(t.BatchSize*t.Accumulate, t.SCSTBatch))]
	t.val = t.val[:min(len(t.val), 4)]
	if err := t.encodeImages(ctx); err != nil {
		return err
	}
	took := map[string]time.Duration{} // the last step of a phase: the first also makes kernels
	tell, since := t.tell, time.Now()
	t.tell = func(e Event) { took[e.Phase], since = time.Since(since), time.Now() }
	err = torch.Do(ctx, func() error {
		if t.Threads > 0 {
			torch.SetThreads(t.Threads)
		}
		return t.learn(ctx, false)
	})
	if t.tell = tell; err != nil {
		return err
	}
	for _, p := range plan {
		all := (took[p.name] * time.Duration(p.steps)).Round(time.Second)
		t.tell(Event{Note: fmt.Sprintf("%s: %v a step, %v in all without measurements", p.name,
			took[p.name].Round(time.Millisecond), all)})
	}
	if peak := peakMemory(); peak != "" {
		t.tell(Event{Note: "most memory that this took: " + peak})
	}
	return nil
}

// tellSizes tells how large model, optimizer and cached features are.
func (t *trainer) tellSizes(ctx context.Context) error {
	return torch.Do(ctx, func() (err error) {
		if t.device, err = t.parseDevice(); err != nil {
			return err
		}
		if err := t.begin(); err != nil {
			return err
		}
		defer func() { t.model.Free(); t.model = nil }()
		learns := nn.Count(t.model.Module())
		t.tell(Event{Note: t.sizeNote()})
		if err := t.newTuner(); err != nil {
			return err
		}
		if t.tuner != nil {
			var n int64
			for _, p := range t.encoderParams() {
				n += p.Tensor.Numel()
			}
			learns += n
			t.tell(Event{Note: fmt.Sprintf("encoder: %s, %.2f million parameters learn",
				t.config.Encoder.Architecture, float64(n)/1e6)})
			t.tuner.Free()
			t.tuner = nil
		}
		each := int64(16) // weights, gradients and AdamW's two averages in float32
		if t.EMA > 0 {
			each += 4
		}
		places, channels := t.config.Memory.Shape()
		cached := int64(t.showing().Count()) * int64(len(t.train)) * places * channels * 2
		note := fmt.Sprintf("weights, gradients and optimizer: %.0f MB", float64(learns*each)/1e6)
		if !t.TrainEncoder {
			note += fmt.Sprintf("; cached features: %.0f MB on disk, mapped", float64(cached)/1e6)
		}
		t.tell(Event{Note: note})
		return nil
	})
}

// sizeNote says how large memory and decoder are.
func (net *network) sizeNote() string {
	parts := map[string]int64{}
	for _, p := range nn.State(net.model.Module()) {
		part, _, _ := strings.Cut(p.Name, ".")
		parts[part] += p.Tensor.Numel()
	}
	vocabulary, _, width := net.config.Decoder.Sizes()
	depth := net.config.Decoder.(family.Trainable).Depth()
	of := fmt.Sprintf("(width %d, %s, %s)", width, plural.Count(depth, "layer"), plural.Count(vocabulary, "token"))
	if parts["memory"] == 0 {
		return fmt.Sprintf("decoder: %.2f million parameters %s", float64(parts["decoder"])/1e6, of)
	}
	return fmt.Sprintf("memory: %.2f million parameters (%s); decoder: %.2f million %s",
		float64(parts["memory"])/1e6, net.config.Memory.Kind, float64(parts["decoder"])/1e6, of)
}

// peakMemory is the most that the process has had, where the system tells.
func peakMemory() string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kb float64
			if n, _ := fmt.Sscan(rest, &kb); n == 1 {
				return fmt.Sprintf("%.0f MB", kb*1024/1e6)
			}
		}
	}
	return ""
}
