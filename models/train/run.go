package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"captioner/models/checkpoint"
	"captioner/models/train/features"
	"captioner/models/train/hold"
	"captioner/torch"
	"captioner/torch/dist"
	"captioner/weights/atomicfile"
)

// Run trains in the folder dir, which must not hold a run yet, and tells what happens through tell, which is called
// from one goroutine at a time and should return soon. When ctx ends, Run saves what Resume needs and returns ctx's
// error. The result is best.safetensors in dir.
func Run(ctx context.Context, dir string, o Options, tell func(Event)) error {
	if err := o.Validate(); err != nil {
		return err
	}
	t := newTrainer(dir, o, tell)
	return t.together(func() error { return t.start(ctx) })
}

// Resume goes on with the run in dir from its last checkpoint, to the same result that it would have had.
func Resume(ctx context.Context, dir string, tell func(Event)) error {
	return ResumeGroup(ctx, dir, Options{}, tell)
}

// ResumeGroup is Resume in each of the processes that share the run from now on, as many as before or others. Of now,
// only Group, Version and, where it is given, Cache count: all else is as the run began.
//
// A model file in the folder of a run stands for the run.
func ResumeGroup(ctx context.Context, dir string, now Options, tell func(Event)) error {
	if name := filepath.Base(dir); name == bestFile || name == lastFile {
		dir = filepath.Dir(dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, optionsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &checkpoint.NoRunError{Dir: dir}
	}
	if err != nil {
		return fmt.Errorf("resume %q: %w", dir, err)
	}
	var o Options
	if err := json.Unmarshal(b, &o); err != nil {
		return fmt.Errorf("resume %q: read %s: %w", dir, optionsFile, err)
	}
	if err := o.Validate(); err != nil {
		return fmt.Errorf("resume %q: %w", dir, err)
	}
	o.Group, o.Version = now.Group, now.Version
	if now.Cache != "" {
		o.Cache = now.Cache
	}
	if o.Group.IsLead() {
		release, err := hold.Take(dir)
		if err != nil {
			return err
		}
		defer release()
	}
	t := newTrainer(dir, o, tell)
	return t.together(func() error { return t.run(ctx, true) })
}

// trainer is a run in progress. It stands on the layers of a run, each of which uses only those below it:
//
//	trainer   the order of things: read, describe, encode, learn phase by phase, finish
//	network   the captioner that learns: weights, model files, scores
//	vision    the encoder, frozen or learning, and the features that it gives
//	corpora   the captions and texts to learn from and to measure on
//	journal   what is written down in the run folder
//	job       options, place, description and state of the run
//
// A learner is one phase of a trainer.
type trainer struct {
	network
}

// newTrainer prepares a run in the folder dir.
func newTrainer(dir string, o Options, tell func(Event)) *trainer {
	t := new(trainer)
	t.Options, t.dir, t.tell = o, dir, tell
	return t
}

// start begins a run in a folder that holds none.
func (t *trainer) start(ctx context.Context) error {
	made := false
	if t.Group.IsLead() && !t.DryRun {
		_, err := os.Stat(t.dir)
		made = errors.Is(err, fs.ErrNotExist)
		if err := os.MkdirAll(t.dir, 0o777); err != nil {
			return fmt.Errorf("train: %w", err)
		}
		release, err := hold.Take(t.dir)
		if err != nil {
			return err
		}
		defer release()
		if _, err := os.Stat(filepath.Join(t.dir, optionsFile)); err == nil {
			return &checkpoint.RunThereError{Dir: t.dir}
		}
	}
	if err := t.Group.Wait(ctx, "the run folder"); err != nil {
		return err
	}
	err := t.run(ctx, false)
	if err != nil && made {
		os.Remove(t.dir) // where nothing was begun; with something in it, it stays
	}
	return err
}

// together tells the other ranks why this one gives up, if it does. Only the first one tells what happens.
func (t *trainer) together(f func() error) error {
	if !t.Group.IsLead() {
		t.tell = func(Event) {}
	}
	err := f()
	var dead *dist.Error
	if err != nil && !errors.As(err, &dead) && !errors.Is(err, context.Canceled) {
		t.Group.Leave(err)
	}
	return err
}

func (t *trainer) run(ctx context.Context, resume bool) (err error) {
	defer t.close()
	if t.cache, err = features.CacheDir(t.Cache); err != nil {
		return err
	}
	if err := t.readData(); err != nil {
		return err
	}
	if err := t.describe(); err != nil {
		return err
	}
	if err := t.checkEncoder(); err != nil {
		return err
	}
	if t.DryRun {
		return t.dryRun(ctx)
	}
	options := filepath.Join(t.dir, optionsFile)
	if !resume && t.Group.IsLead() {
		if err := atomicfile.WriteFile(options, writer(t.Options.JSON())); err != nil {
			return err
		}
	}
	if err := t.encodeImages(ctx); err != nil {
		var bad *BadImagesError
		if !resume && t.Group.IsLead() && errors.As(err, &bad) {
			os.Remove(options) // nothing was begun: the folder may be taken again
		}
		return err
	}
	if err := t.checkRanks(); err != nil {
		return err
	}
	t.tellPlan()
	err = torch.Do(ctx, func() error {
		if t.Threads > 0 {
			torch.SetThreads(t.Threads)
		}
		if t.Linear != "" {
			torch.LearnByOneDNN(t.Linear == "onednn")
		}
		return t.learn(ctx, resume)
	})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// learn goes through the phases. It runs on the torch thread.
func (t *trainer) learn(ctx context.Context, resume bool) (err error) {
	if t.device, err = t.parseDevice(); err != nil {
		return err
	}
	if t.Group.Size() > 1 && t.device.IsCUDA() {
		if err := t.Group.UseNCCL(int(t.device) - 1); err != nil {
			t.tell(Event{Note: "gradients travel through the host: " + err.Error()})
		}
	}
	if err := t.writeEnvironment(); err != nil {
		return err
	}
	if err := t.begin(); err != nil {
		return err
	}
	if err := t.newTuner(); err != nil {
		return err
	}
	if resume {
		err := t.loadState()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		t.tell(Event{Note: t.standing()})
	}
	for _, p := range t.phases()[t.state.Phase:] {
		if err := t.runPhase(ctx, p); err != nil {
			return err
		}
	}
	if t.DryRun {
		return nil
	}
	return t.finish(ctx)
}

// standing says from where a run goes on.
func (t *trainer) standing() string {
	all := t.phases()
	if t.state.Phase >= len(all) {
		return "resuming after the last step"
	}
	p, per := all[t.state.Phase], float64(all[t.state.Phase].perEpoch)
	return fmt.Sprintf("resuming from step %d of %d (%s, epoch %.4g of %.4g)", t.state.Step, p.steps, p.name,
		float64(t.state.Step)/per, float64(p.steps)/per)
}

// close releases everything.
func (t *trainer) close() {
	torch.Do(context.Background(), func() error {
		if t.model != nil {
			t.model.Free()
		}
		if t.tuner != nil {
			t.tuner.Free()
		}
		return nil
	})
	for _, f := range append(t.cached, t.valFeatures) {
		if f != nil {
			f.Close()
		}
	}
}
