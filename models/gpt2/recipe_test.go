package gpt2

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"captioner/models/batch"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/optim"
	"captioner/torch/torchtest"
	"captioner/weights"
)

// recipe is how the Python original trained a small decoder (scripts/fixtures/recipe.py): start weights, batches,
// losses.
type recipe struct {
	src             weights.Source
	features        *torch.Tensor // [I, 1, C], padded with zeros to the decoder's width
	captions        []int32       // [I, 5, T], padded with -1
	images, choices []int32       // [steps, B]
	batch, longest  int
	end             int32
}

// readRecipe needs the decoder for its width and its last id, which begins and ends a text.
func readRecipe(t *testing.T, c Config) *recipe {
	src := torchtest.Fixture(t, "../train/testdata/recipe.safetensors")
	features, captions, images := torchtest.Get(
		t,
		src,
		"features",
	), torchtest.Get(
		t,
		src,
		"captions",
	), torchtest.Get(
		t,
		src,
		"images",
	)
	n, f := features.Dim(0), features.Dim(1)
	return &recipe{
		src:      src,
		features: torch.Cat(1, features, torch.Zeros(torch.Float32, torch.CPU, n, c.Width-f)).View(n, 1, c.Width),
		captions: torch.Slice[int32](
			captions,
		),
		images:  torch.Slice[int32](images),
		batch:   int(images.Dim(1)),
		longest: int(captions.Dim(2)),
		choices: torch.Slice[int32](torchtest.Get(t, src, "choices")),
		end:     int32(c.VocabSize - 1),
	}
}

// rows are the captions of a step between start and end token.
func (r *recipe) rows(step int) (rows [][]int32, images []int64) {
	for i := step * r.batch; i < (step+1)*r.batch; i++ {
		at := (int(r.images[i])*5 + int(r.choices[i])) * r.longest
		row := []int32{r.end}
		for _, id := range r.captions[at : at+r.longest] {
			if id >= 0 {
				row = append(row, id)
			}
		}
		rows, images = append(rows, append(row, r.end)), append(images, int64(r.images[i]))
	}
	return rows, images
}

// TestTrainingOfTheOriginal follows the loss of clip-text-decoder's own training over 200 steps: over padding, one
// token of memory.
func TestTrainingOfTheOriginal(t *testing.T) {
	for _, tt := range []struct {
		losses     string
		beta2      float64
		accumulate int
	}{{"losses.1.2", 0.98, 1}, {"losses.1.4", 0.999, 1}, {"losses.accumulate", 0.999, 4}} {
		t.Run(tt.losses, func(t *testing.T) {
			torchtest.Do(t, func() {
				src := torchtest.Fixture(t, "../train/testdata/recipe.safetensors")
				c, err := ParseConfig([]byte(src.Metadata()["config"]))
				if err != nil {
					t.Fatal(err)
				}
				r := readRecipe(t, c)
				m, err := New(c)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Free()
				if err := m.Load(src, nn.LoadOptions{
					Prefix: "model.",
					Own:    true,
					Ignore: func(n string) bool { return !strings.HasPrefix(n, "model.") },
				}); err != nil {
					t.Fatal(err)
				}
				decay, _ := strconv.ParseFloat(src.Metadata()["weight_decay"], 64)
				opt := optim.NewAdamW(
					[]optim.Group{{Params: nn.Trainable(m), WeightDecay: decay, LRScale: 1}},
					0.9,
					tt.beta2,
					1e-8,
				)
				defer opt.Free()
				worst := 0.0
				for step, want := range torch.Slice[float32](torchtest.Get(t, src, tt.losses)) {
					torch.Scoped(func() {
						rows, images := r.rows(step)
						b, err := batch.Pad(
							rows,
							batch.Padding{Token: r.end, Target: int64(r.end), Mask: true, End: true},
							torch.CPU,
						)
						if err != nil {
							t.Fatal(err)
						}
						loss := b.Loss(m.Forward(b, r.features.IndexSelect(0, torch.FromSlice(images)), true), 0)
						loss.MulScalar(1 / float64(tt.accumulate)).Backward()
						if (step+1)%tt.accumulate == 0 {
							opt.Step(1e-4, nil)
							opt.ClearGrad()
						}
						worst = max(worst, math.Abs(loss.Float()-float64(want))/float64(want))
					})
				}
				t.Logf("furthest of 200 losses: %.2g relative", worst)
				if !(worst < 1e-4) {
					t.Errorf("losses: got one %.2g off, want less than 1e-4", worst)
				}
				if after := strings.Replace(tt.losses, "losses", "after", 1); tt.accumulate == 1 {
					for _, p := range nn.State(m) {
						if _, err := src.Tensor(after + "." + p.Name); err == nil {
							torchtest.CloseTo(
								t,
								p.Name,
								p.Tensor,
								torchtest.Get(t, src, after+"."+p.Name),
								torchtest.Tolerance{Rel: 1e-3, Abs: 1e-4},
							)
						}
					}
				}
			})
		})
	}
}
