package decode

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"captioner/data/mersenne"
)

func clipDecoderFixture(t *testing.T) (f struct {
	Cases []struct {
		Values  []float32
		K       int
		Indices []int
	}
	Rand map[string][]uint32
}) {
	t.Helper()
	b, err := os.ReadFile("testdata/topk.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// Equal values stand in torch.topk's order.
func TestTopKIsTorchs(t *testing.T) {
	for i, c := range clipDecoderFixture(t).Cases {
		if got := topK(c.Values, c.K); !slices.Equal(got, c.Indices) {
			t.Errorf("case %d, %d of %v: got %v, want %v", i, c.K, c.Values, got, c.Indices)
		}
	}
}

func TestMersenneIsTorchs(t *testing.T) {
	for seed, want := range clipDecoderFixture(t).Rand {
		n, _ := strconv.Atoi(seed)
		m := mersenne.New(uint32(n))
		for i, w := range want {
			if got := uint32(m.Float() * (1 << 24)); got != w {
				t.Fatalf("seed %s, number %d: got %d, want %d", seed, i, got, w)
			}
		}
	}
}

func clipDecoderOptions() Options {
	o := small()
	o.Rule, o.LengthPenalty, o.MaxLen = ClipDecoder, 0, 9
	return o
}

// original is clip-text-decoder's beam search, written down from its source without any of Run's machinery.
func original(f *fake, image int, o Options) (tokens []int32, sum float32) {
	type beam struct {
		ids []int32
		log float32
	}
	beams, begun := []beam{{[]int32{o.BOS}, 0}}, false
	for range o.MaxLen - 1 {
		var all []beam
		done := true
		for _, b := range beams {
			if begun && b.ids[len(b.ids)-1] == o.EOS {
				all = append(all, b)
				continue
			}
			done = false
			ids, logs := f.best(fakeRow{0, b.ids}, o.Beam, nil)
			for i, id := range ids {
				all = append(all, beam{append(slices.Clone(b.ids), id), logs[i] + b.log})
			}
		}
		if done {
			break
		}
		var logs []float32
		for _, b := range all {
			logs = append(logs, b.log)
		}
		beams, begun = nil, true
		for _, i := range topK(logs, o.Beam) {
			beams = append(beams, all[i])
		}
	}
	best := beams[0]
	for _, b := range beams[1:] {
		if b.log > best.log {
			best = b
		}
	}
	return slices.DeleteFunc(best.ids, func(id int32) bool { return id == o.EOS || id == o.BOS }), best.log
}

// The rule gives what the original's loop gives, ties and all, in any batch.
func TestClipDecoderIsTheOriginal(t *testing.T) {
	o := clipDecoderOptions()
	images := make([]int, 40)
	for i := range images {
		images[i] = i
	}
	finished := 0
	for o.Beam = 1; o.Beam <= 5; o.Beam++ {
		for i, h := range mustRun(t, newFake(t, 7, images...), o) {
			want, sum := original(newFake(t, 7, i), i, o)
			if !slices.Equal(h[0].Tokens, want) || h[0].LogProb != float64(sum) {
				t.Errorf("beam %d, image %d: got %v %.6f, want %v %.6f", o.Beam, i, h[0].Tokens, h[0].LogProb, want, sum)
			}
			if h[0].Finished {
				finished++
			}
		}
	}
	if finished == 0 || finished == 5*len(images) {
		t.Errorf("%d of %d captions finished, want some of both", finished, 5*len(images))
	}
}

func TestClipDecoderAlternatives(t *testing.T) {
	o := clipDecoderOptions()
	o.Beam, o.Captions = 4, 3
	for i, h := range mustRun(t, newFake(t, 7, 1, 2, 3), o) {
		if len(h) != 3 || h[0].LogProb < h[1].LogProb || h[1].LogProb < h[2].LogProb {
			t.Errorf("image %d: got %+v, want three, the best first", i, h)
		}
	}
}

// With a tiny temperature the draw is greedy; with a large one it follows the seed and nothing else.
func TestClipDecoderSample(t *testing.T) {
	o := clipDecoderOptions()
	o.Beam = 1
	greedy := mustRun(t, newFake(t, 7, 1, 2, 3), o)
	o.Rule, o.Temperature, o.TopK = ClipDecoderSample, 1e-8, 1
	for i, h := range mustRun(t, newFake(t, 7, 1, 2, 3), o) {
		if !slices.Equal(h[0].Tokens, greedy[i][0].Tokens) || math.Abs(h[0].LogProb-greedy[i][0].LogProb) > 1e-5 {
			t.Errorf("image %d: got %v, want %v", i, h[0].Tokens, greedy[i][0].Tokens)
		}
	}
	o.Temperature, o.TopK, o.Seed = 1, 5, 3
	together := mustRun(t, newFake(t, 7, 1, 2, 3), o)
	alone := mustRun(t, newFake(t, 7, 2), o)
	if !slices.Equal(together[1][0].Tokens, alone[0][0].Tokens) {
		t.Errorf("got %v in a batch, want %v as alone", together[1][0].Tokens, alone[0][0].Tokens)
	}
}

func TestClipDecoderRefuses(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"rule":    func(o *Options) { o.Rule = "perl" },
		"length":  func(o *Options) { o.MaxLen = 1 },
		"prompt":  func(o *Options) { o.Prompt = []int32{1} },
		"n-gram":  func(o *Options) { o.NoRepeatNGram = 3 },
		"sample":  func(o *Options) { o.Sample = true },
		"top-k":   func(o *Options) { o.Rule, o.TopK = ClipDecoderSample, 0 },
		"several": func(o *Options) { o.Rule, o.Captions, o.Beam = ClipDecoderSample, 2, 2 },
	} {
		o := clipDecoderOptions()
		if err := o.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&o)
		if o.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
