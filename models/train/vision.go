package train

import (
	"context"
	"fmt"
	"os"
	"slices"

	"captioner/models/captioner/demo"
	"captioner/models/checkpoint"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/train/features"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// recomputed is how many images go through the encoder at once when their maps are computed again for the gradient.
const recomputed = 8

// vision is the encoder of a run. Frozen, it gives features once, which are cached; learning, its lower stages do.
type vision struct {
	corpora
	cache       string
	encoder     []weights.NamedTensor
	cached      []features.Rows // of the images to learn from, one set a way of showing them
	valFeatures features.Rows
	tuner       *encoder.Tuner // nil where the encoder is frozen
}

// Demo is what Init and Encoder call the built-in model by, where there is no file of that name.
const Demo = "demo"

// isDemo says whether a path means the built-in model.
func isDemo(path string) bool {
	if path != Demo {
		return false
	}
	_, err := os.Stat(path)
	return err != nil
}

// openCaptioner opens a model file, or the built-in model. Close releases it.
func (j *job) openCaptioner(path string) (*checkpoint.Checkpoint, error) {
	if isDemo(path) {
		return j.Architectures.OrKnown().Parse(demo.Model)
	}
	return j.Architectures.OrKnown().Open(path)
}

// readEncoder takes the encoder's weights into memory and describes it.
func (v *vision) readEncoder() (encoder.Config, error) {
	said := map[encoder.Part]int64{encoder.EncoderPart: v.EncoderHeads}
	known := v.Architectures.OrKnown()
	known.Heads = &encoder.Heads{Of: said, Activation: v.EncoderActivation}
	if isDemo(v.Encoder) {
		if err := known.Heads.Unused(encoder.EncoderPart); err != nil {
			return encoder.Config{}, err
		}
		f, err := v.openCaptioner(v.Encoder)
		if err != nil {
			return encoder.Config{}, err
		}
		defer f.Close()
		v.encoder, err = f.EncoderTensors()
		return f.Config.Encoder, err
	}
	p, err := known.OpenEncoder(v.Encoder)
	if err != nil {
		return encoder.Config{}, err
	}
	defer p.Close()
	if err := known.Heads.Unused(encoder.EncoderPart); err != nil {
		return encoder.Config{}, err
	}
	if doubt := p.Config.Doubt(encoder.EncoderPart); doubt != "" {
		v.warn("%s", doubt)
	}
	if v.EncoderName != "" && v.EncoderName != p.Config.Architecture {
		return p.Config, fmt.Errorf("encoder %q: found %s, want %s", v.Encoder, p.Config.Architecture, v.EncoderName)
	}
	if _, err = p.Checksum(); err == nil {
		v.encoder, err = p.Tensors()
	}
	return p.Config, err
}

// stage is the stage of the encoder that learning begins with, 0 where the encoder is frozen or learns as a whole.
func (v *vision) stage() int {
	switch {
	case !v.TrainEncoder:
		return 0
	case v.EncoderFrom < 0:
		return v.config.Encoder.TuneFrom()
	}
	return v.EncoderFrom
}

// checkEncoder refuses to train an encoder that cannot learn, before anything is computed.
func (v *vision) checkEncoder() error {
	if !v.TrainEncoder {
		return nil
	}
	n, err := v.config.Encoder.Stages()
	if err != nil {
		return err
	}
	if v.EncoderFrom >= n {
		return fmt.Errorf("encoder-from: found %d, want -1 to %d for %s", v.EncoderFrom, n-1, v.config.Encoder.Architecture)
	}
	return nil
}

// decodesAnew says whether images are decoded for each step: where the whole encoder learns, there is nothing to
// cache.
func (v *vision) decodesAnew() bool { return v.TrainEncoder && v.stage() == 0 }

// newTuner loads the encoder that learns, if one does.
func (v *vision) newTuner() error {
	if !v.TrainEncoder {
		return nil
	}
	src, err := weights.NewMemory(v.encoder, nil)
	if err != nil {
		return err
	}
	v.tuner, err = encoder.NewTuner(v.config.Encoder, v.config.Memory, src, v.stage(), v.device)
	return err
}

// cachedAs is the configuration under which features are cached. What enters a stage depends on the weights that do
// not learn alone, and so does its checksum: a run that goes on from another's model finds the features of that one.
// It works inside torch.Do.
func (v *vision) cachedAs() (family.Config, error) {
	c := v.config
	if v.stage() == 0 {
		return c, nil
	}
	if err := v.newTuner(); err != nil {
		return c, err
	}
	learns := map[string]bool{}
	for _, p := range v.encoderParams() {
		learns[p.Name] = true
	}
	v.tuner.Free()
	v.tuner = nil
	frozen := slices.DeleteFunc(slices.Clone(v.encoder), func(n weights.NamedTensor) bool { return learns[n.Name] })
	c.Encoder.SHA256 = encoder.WeightsSum(frozen)
	return c, nil
}

// encodeImages computes the features of all images that are not cached yet, and leaves out or refuses those that cannot
// be decoded. Where nothing can be cached, it only tries to decode them.
func (v *vision) encodeImages(ctx context.Context) error {
	e, as, err := v.newRunner(ctx)
	if err != nil {
		return err
	}
	defer torch.Do(context.Background(), func() error { e.Free(); return nil })
	if v.decodesAnew() {
		return v.tryImages(ctx)
	}
	train := v.train
	if !v.Learns() { // only what is measured is looked at
		train = nil
	}
	before, all := 0, v.showing().Count()*len(train)+len(v.val)
	encode := func(views []features.View) (features.Rows, []features.Bad, error) {
		set, bad, err := features.EncodeViews(ctx, e, as, v.stage(), views, features.Options{
			Cache: v.cache,
			Group: v.Group,
			Done:  func(n int) { v.tell(Event{Phase: "encode", Step: before + n, Steps: all}) },
		})
		if err != nil {
			return nil, nil, err
		}
		before += len(views)
		return set, bad, nil
	}
	plain, bad, err := encode(whole(train))
	if err != nil {
		return err
	}
	v.cached = append(v.cached, plain)
	var badVal []features.Bad
	if v.valFeatures, badVal, err = encode(whole(v.val)); err != nil {
		return err
	}
	if err := v.leaveOut(bad, badVal); err != nil {
		return err
	}
	for k := 1; k < v.showing().Count() && train != nil; k++ { // of the images that the first view has shown to be good
		views := make([]features.View, len(v.train))
		for i, x := range v.train {
			views[i] = v.showing().View(x.Example, x.flip, k)
		}
		rows, bad, err := encode(views)
		if err != nil {
			return err
		}
		v.cached = append(v.cached, rows)
		if len(bad) > 0 {
			return fmt.Errorf("encode images: %d cannot be decoded any more, the first: %w", len(bad), bad[0].Err)
		}
	}
	return nil
}

// newRunner loads the encoder, and gives the configuration under which its features are cached.
func (v *vision) newRunner(ctx context.Context) (e *encoder.Runner, as family.Config, err error) {
	src, err := weights.NewMemory(v.encoder, nil)
	if err != nil {
		return nil, as, err
	}
	err = torch.Do(ctx, func() (err error) {
		if v.device, err = v.parseDevice(); err != nil {
			return err
		}
		if v.Threads > 0 {
			torch.SetThreads(v.Threads)
		}
		if as, err = v.cachedAs(); err != nil {
			return err
		}
		e, err = encoder.NewRunner(v.config.Encoder, v.config.Memory, src, v.device, torch.Float32)
		return err
	})
	return e, as, err
}

// tuned runs the tuner in type d and gives its features in float32.
func (v *vision) tuned(x *torch.Tensor, d torch.DType) *torch.Tensor {
	var y *torch.Tensor
	torch.Autocast(v.device, d, func() { y = v.tuner.Features(x) })
	return y.To(torch.Float32)
}

// tunedChunks is tuned for many images, without a gradient.
func (v *vision) tunedChunks(x *torch.Tensor, d torch.DType) *torch.Tensor {
	var parts []*torch.Tensor
	for i := int64(0); i < x.Dim(0); i += recomputed {
		chunk := min(recomputed, x.Dim(0)-i)
		parts = append(parts, torch.Tidy1(func() *torch.Tensor { return v.tuned(x.Narrow(0, i, chunk), d) }))
	}
	return torch.Cat(0, parts...)
}

// valFeaturesOf gives the features of n validation images from number from on, by the encoder as it is.
func (v *vision) valFeaturesOf(from, n int) (*torch.Tensor, error) {
	if !v.decodesAnew() {
		x := features.Gather(indices(from, n), same(v.valFeatures, n), v.device)
		if v.tuner == nil {
			return x, nil
		}
		return v.tunedChunks(x, torch.Float32), nil
	}
	var views []features.View
	for _, e := range v.val[from : from+n] {
		views = append(views, features.View{Example: e.Example})
	}
	slots, wait := features.PrepareAll(context.Background(), v.config.Encoder.Preprocess, views)
	defer wait()
	var pixels []byte
	for i, s := range slots {
		x := <-s
		if x.Err != nil {
			return nil, fmt.Errorf("image %q: %w", views[i].Name(), x.Err)
		}
		pixels = append(pixels, x.Pixels...)
	}
	return v.tunedChunks(v.tuner.Pixels(pixels, n, v.device), torch.Float32), nil
}

// encoderParams are the weights of the encoder that learn.
func (v *vision) encoderParams() []nn.Param {
	if v.tuner == nil {
		return nil
	}
	return v.tuner.Params()
}

func indices(from, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = from + i
	}
	return out
}

func same(f features.Rows, n int) []features.Rows {
	out := make([]features.Rows, n)
	for i := range out {
		out[i] = f
	}
	return out
}
