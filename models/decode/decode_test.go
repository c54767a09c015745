package decode

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// brute lists every hypothesis that the rules allow, best first.
func brute(f *fake, o Options, image int) []Hypothesis {
	var out []Hypothesis
	var walk func(tokens []int32, sum float64)
	walk = func(tokens []int32, sum float64) {
		chosen := len(tokens) - len(o.Prompt)
		if chosen == o.MaxLen {
			out = append(out, Hypothesis{Tokens: slices.Clone(tokens), LogProb: sum,
				Score: score(sum, chosen, o.LengthPenalty), Length: chosen})
			return
		}
		b := newBans(&o)
		b.add(tokens)
		for id, l := range logSoftmax(f.logits(image, append([]int32{o.BOS}, tokens...))) {
			total := sum + float64(float32(l))
			switch {
			case slices.Contains(b.rows[0], int32(id)):
			case int32(id) == o.EOS:
				out = append(out, Hypothesis{Tokens: slices.Clone(tokens), LogProb: total,
					Score: score(total, chosen+1, o.LengthPenalty), Length: chosen + 1, Finished: true})
			default:
				walk(append(tokens[:len(tokens):len(tokens)], int32(id)), total)
			}
		}
	}
	walk(o.Prompt, 0)
	slices.SortStableFunc(out, better)
	return out
}

func TestWideBeamFindsTheOptimum(t *testing.T) {
	for _, penalty := range []float64{0, 0.7, 1, 2, -0.5} {
		for image := range 12 {
			f := newFake(t, 4, image)
			f.logits = noise(4, 1<<40) // no ties: brute force has another order among them
			o := small()
			o.Beam, o.Captions, o.MaxLen, o.LengthPenalty = 243, 3, 5, penalty
			got, want := mustRun(t, f, o)[0], brute(f, o, image)[:3]
			for i := range want {
				if !slices.Equal(got[i].Tokens, want[i].Tokens) || math.Abs(got[i].Score-want[i].Score) > 1e-9 {
					t.Fatalf("penalty %g, image %d, place %d: got %+v, want %+v", penalty, image, i, got[i], want[i])
				}
			}
		}
	}
}

func TestWideBeamFindsTheOptimumUnderConstraints(t *testing.T) {
	for image := range 40 {
		f := newFake(t, 6, image)
		f.logits = noise(6, 1<<40)
		o := small()
		o.Beam, o.MaxLen, o.MinLen, o.NoRepeatNGram = 256, 4, 2, 2
		o.Prompt, o.Ban = []int32{3, 1, 3}, [][]int32{{2}, {4, 5}, {3, 5}}
		got := mustRun(t, f, o)[0]
		if want := brute(f, o, image)[:1]; !cmp.Equal(got, want) {
			t.Fatalf("image %d: %s", image, cmp.Diff(want, got))
		}
	}
}

func TestForcedWords(t *testing.T) {
	force := [][][]int32{{{3, 4}, {5}}, {{2}}}
	has := func(h Hypothesis) bool { // the prompt counts, but is none of them
		return (contains(h.Tokens, []int32{3, 4}) || contains(h.Tokens, []int32{5})) && contains(h.Tokens, []int32{2})
	}
	for image := range 20 {
		f := newFake(t, 6, image)
		f.logits = noise(6, 1<<40)
		o := small()
		o.MaxLen, o.Force, o.Prompt, o.NoRepeatNGram, o.Beam = 4, force, []int32{1}, 2, 256
		var want []Hypothesis
		for _, h := range brute(f, o, image) {
			if h.Finished && has(h) {
				want = append(want, h)
			}
		}
		if got := mustRun(t, f, o)[0]; !cmp.Equal(got, want[:1]) {
			t.Fatalf("image %d: %s", image, cmp.Diff(want[:1], got))
		}
		for _, beam := range []int{2, 3, 5} {
			o.MaxLen, o.Beam = 12, beam
			if got := mustRun(t, newFake(t, 6, image), o)[0][0]; !has(got) {
				t.Errorf("image %d, beam %d: got %+v, want both words", image, beam, got)
			}
		}
	}
}

// A forced word is a whole one: tokens that go on with a word make another of it, and it may begin a caption without
// the space before it. Here the tokens from 6 on are insides, and 5 is what 6 is at the beginning.
func TestForcedWordsAreWhole(t *testing.T) {
	inside := func(id int32) bool { return id >= 6 }
	o := small()
	o.MaxLen, o.Force, o.NoRepeatNGram, o.Beam, o.Inside = 4, [][][]int32{{{5}, {6, 7}}}, 0, 256, inside
	has := func(h Hypothesis) bool {
		at := slices.IndexFunc(h.Tokens, func(id int32) bool { return id == 5 })
		for ; at >= 0 && at < len(h.Tokens); at++ {
			if h.Tokens[at] == 5 && (at+1 == len(h.Tokens) || !inside(h.Tokens[at+1])) {
				return true
			}
		}
		return len(h.Tokens) > 1 && h.Tokens[0] == 6 && h.Tokens[1] == 7 && (len(h.Tokens) == 2 || !inside(h.Tokens[2]))
	}
	parts, begun := 0, 0
	for image := range 40 {
		f := newFake(t, 8, image)
		f.logits = noise(8, 1<<40)
		var want []Hypothesis
		for _, h := range brute(f, o, image) {
			if h.Finished && has(h) {
				want = append(want, h)
			} else if h.Finished && len(want) == 0 && contains(h.Tokens, []int32{5}) {
				parts++
			}
		}
		if want[0].Tokens[0] == 6 {
			begun++
		}
		if got := mustRun(t, f, o)[0]; !cmp.Equal(got, want[:1]) {
			t.Fatalf("image %d: %s", image, cmp.Diff(want[:1], got))
		}
	}
	if parts == 0 || begun == 0 {
		t.Errorf("the test shows nothing: %d better captions with the word as a part, %d best ones that begin with it",
			parts, begun)
	}
	o.Prompt = []int32{1, 5}
	if got := mustRun(t, newFake(t, 8, 0), o)[0][0]; inside(append(got.Tokens[2:], 0)[0]) && !has(got) {
		t.Errorf("got %v behind a prompt that has the word", got.Tokens)
	}
	o.Ban = [][]int32{{5}, {7}}
	if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "force word 0 and ban contradict") {
		t.Errorf("got %v, want the contradiction named", err)
	}
}

func TestStepperWithoutForcedTokens(t *testing.T) {
	o := small()
	o.Force = [][][]int32{{{2}}}
	f := newFake(t, 5, 0)
	_, err := Run(stepFunc(func(r StepRequest) (Candidates, error) {
		c, err := f.Step(r)
		c.Extra = nil
		return c, err
	}), 1, o)
	want := "decode: step 1: stepper gave 0 log-probabilities of forced tokens, want 1 for each of 1 rows"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// stopping early must not change what is found: a run that may not stop gives the same.
func TestStoppingIsExact(t *testing.T) {
	saved := 0
	for image := range 200 {
		for _, penalty := range []float64{0, 0.7, 1.5, -1} {
			o := small()
			o.Beam, o.Captions, o.MaxLen, o.LengthPenalty = 3, 2, 12, penalty
			f := newFake(t, 6, image)
			got := mustRun(t, f, o)[0]
			b := newBeam(&o, o.Beam)
			g := newFake(t, 6, image)
			req := StepRequest{Tokens: []int32{o.BOS}, K: o.Beam + 1}
			for range o.MaxLen {
				c, _ := g.Step(req)
				b.advance(view{ids: c.IDs, logs: c.LogProbs, k: req.K})
				req.Parents, req.Tokens = []int32{}, []int32{}
				for _, r := range b.next(nil) {
					req.Parents, req.Tokens = append(req.Parents, r.parent), append(req.Tokens, r.token)
				}
			}
			if want := b.hypotheses(); !cmp.Equal(got, want) {
				t.Fatalf("image %d, penalty %g: %s", image, penalty, cmp.Diff(want, got))
			}
			saved += o.MaxLen - f.steps
		}
	}
	if saved == 0 {
		t.Error("no run stopped before MaxLen: the rule is not exercised")
	}
}

// A hypothesis that is far behind can win by its length: the search must wait for it.
func TestLateWinnerIsWaitedFor(t *testing.T) {
	f := newFake(t, 3, 0)
	f.logits = func(_ int, p []int32) []float64 {
		switch {
		case len(p) == 1:
			return []float64{-99, math.Log(.8), math.Log(.2)}
		case p[1] == 1:
			return []float64{math.Log(.6), math.Log(.4), -99}
		case len(p) < 12:
			return []float64{-99, -99, 0} // 2 goes on for sure
		default:
			return []float64{0, -99, -99}
		}
	}
	o := small()
	o.MaxLen = 20
	if got := mustRun(t, f, o)[0][0]; got.Length != 12 || got.Tokens[0] != 2 {
		t.Errorf("got %+v, want the caption of 12 tokens", got)
	}
	if f.steps == o.MaxLen {
		t.Error("the search did not stop before the max length")
	}
}

func TestGreedyIsBeamOneIsTopKOne(t *testing.T) {
	for image := range 100 {
		o := small()
		o.MaxLen, o.Beam = 10, 1
		f := newFake(t, 7, image)
		beam := mustRun(t, f, o)
		if f.steps != beam[0][0].Length {
			t.Errorf("image %d: %d steps for %d tokens", image, f.steps, beam[0][0].Length)
		}
		o.Sample, o.TopK = true, 1
		if got := mustRun(t, newFake(t, 7, image), o); !cmp.Equal(got, beam) {
			t.Fatalf("top-k 1: %s", cmp.Diff(beam, got))
		}
		o.TopK, o.Temperature = 5, 0
		if got := mustRun(t, newFake(t, 7, image), o); !cmp.Equal(got, beam) {
			t.Fatalf("temperature 0: %s", cmp.Diff(beam, got))
		}
		var want []int32 // by hand
		for len(want) < o.MaxLen {
			ids, _ := f.best(fakeRow{0, append([]int32{0}, want...)}, 1, nil)
			if ids[0] == o.EOS {
				break
			}
			want = append(want, ids[0])
		}
		if !slices.Equal(beam[0][0].Tokens, want) {
			t.Fatalf("image %d: got %v, want %v", image, beam[0][0].Tokens, want)
		}
	}
}

// variants are options that exercise every way of searching.
func variants() map[string]Options {
	out := map[string]Options{}
	with := func(name string, change func(*Options)) {
		o := small()
		o.MaxLen = 9
		change(&o)
		out[name] = o
	}
	with("greedy", func(o *Options) { o.Beam = 1 })
	with("beam", func(o *Options) { o.Captions = 2 })
	with("beam with bans", func(o *Options) { o.NoRepeatNGram, o.MinLen, o.Ban = 2, 3, [][]int32{{4}, {5, 6}} })
	with("prompt", func(o *Options) { o.Prompt = []int32{2, 3, 2} })
	with("groups", func(o *Options) { o.Beam, o.Groups, o.Captions = 6, 3, 4 })
	with("forced", func(o *Options) { o.Beam, o.Force = 4, [][][]int32{{{3, 4}, {7}}, {{5}}} })
	with("sample", func(o *Options) { o.Sample, o.Captions, o.Seed, o.TopP, o.TopK = true, 3, 7, 0.9, 6 })
	return out
}

func TestCaptionsDoNotDependOnTheBatch(t *testing.T) {
	for name, o := range variants() {
		t.Run(name, func(t *testing.T) {
			images := make([]int, 30)
			o.IDs = make([]uint64, len(images))
			for i := range images {
				images[i], o.IDs[i] = i, uint64(i)*77
			}
			f := newFake(t, 8, images...)
			together := mustRun(t, f, o)
			if first, last := f.seen[len(o.Prompt)+1], f.seen[len(f.seen)-1]; last >= first && o.Groups == 1 {
				t.Errorf("rows a step %v: finished images do not leave the batch", f.seen)
			}
			for i := range images {
				alone := o
				alone.IDs = o.IDs[i : i+1]
				if got := mustRun(t, newFake(t, 8, i), alone)[0]; !cmp.Equal(got, together[i]) {
					t.Fatalf("image %d: %s", i, cmp.Diff(together[i], got))
				}
			}
		})
	}
}

func TestTiesGoToTheLowerToken(t *testing.T) {
	o := small()
	o.Beam, o.Captions, o.MaxLen = 2, 2, 2
	f := newFake(t, 5, 0)
	f.logits = func(int, []int32) []float64 { return []float64{-9, 1, 1, 1, 1} } // all words alike, the end token unlikely
	got := mustRun(t, f, o)[0]
	if want := [][]int32{{1, 1}, {2, 1}}; !slices.Equal(got[0].Tokens, want[0]) || !slices.Equal(got[1].Tokens, want[1]) {
		t.Errorf("got %v, want %v: the lower token, then the lower parent", got, want)
	}
	if got[0].Finished || got[0].Length != 2 {
		t.Errorf("got %+v, want a caption of 2 tokens cut at the max length", got[0])
	}
}

func TestLengthCountsTheEndTokenAndNotThePrompt(t *testing.T) {
	f := newFake(t, 3, 0)
	f.logits = func(_ int, p []int32) []float64 { // BOS, prompt 2, then one 1, then the end
		if len(p) < 3 {
			return []float64{-50, 0, -50}
		}
		return []float64{0, -50, -50}
	}
	o := small()
	o.Prompt, o.LengthPenalty = []int32{2}, 1
	h := mustRun(t, f, o)[0][0]
	if !slices.Equal(h.Tokens, []int32{2, 1}) || h.Length != 2 || !h.Finished || h.Score != h.LogProb/2 {
		t.Errorf("got %+v, want tokens [2 1], length 2, score = sum/2", h)
	}
	if c := h.Confidence(); math.Abs(c-1) > 1e-6 {
		t.Errorf("confidence %g, want 1", c)
	}
}

func TestPromptStepsWantNoScores(t *testing.T) {
	o := small()
	o.Prompt = []int32{1, 2}
	var ks []int
	f := newFake(t, 5, 0)
	_, err := Run(stepFunc(func(r StepRequest) (Candidates, error) { ks = append(ks, r.K); return f.Step(r) }), 1, o)
	if err != nil || !slices.Equal(ks[:3], []int{0, 0, 4}) {
		t.Errorf("K a step %v, %v; want 0 0 4", ks[:3], err)
	}
}

type stepFunc func(StepRequest) (Candidates, error)

func (f stepFunc) Step(r StepRequest) (Candidates, error) { return f(r) }

func TestEverythingBanned(t *testing.T) {
	for _, sample := range []bool{false, true} {
		o := small()
		o.Sample, o.TopK = sample, 4
		o.NoRepeatNGram, o.MinLen, o.Prompt = 1, 3, []int32{1, 2} // nothing may repeat, and the end may not come
		h := mustRun(t, newFake(t, 3, 0), o)[0]
		if len(h) != 1 || h[0].Finished || len(h[0].Tokens) != 2 || math.IsNaN(h[0].Score) {
			t.Errorf("sample %t: got %+v, want the prompt alone, unfinished", sample, h)
		}
	}
}

func TestStepperErrors(t *testing.T) {
	nan := float32(math.NaN())
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		step func(r StepRequest) (Candidates, error)
		want string
	}{
		"error": {func(StepRequest) (Candidates, error) { return Candidates{}, broken }, "decode: step 1: broken"},
		"short": {func(r StepRequest) (Candidates, error) { return Candidates{IDs: []int32{1}}, nil },
			"decode: step 1: stepper gave 1 ids and 0 log-probabilities, want 2 rows of 4"},
		"nan": {func(r StepRequest) (Candidates, error) {
			return Candidates{IDs: make([]int32, 8), LogProbs: []float32{0, 0, 0, 0, 0, nan, 0, 0}}, nil
		}, "decode: step 1: stepper gave NaN as log-probability of token 0 in row 1"},
	} {
		_, err := Run(stepFunc(tc.step), 2, small())
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s: got %v, want %s", name, err, tc.want)
		}
	}
}

func TestValidateReportsEverything(t *testing.T) {
	search := Options{
		Beam: 0, MaxLen: 0, MinLen: 4, LengthPenalty: math.NaN(), NoRepeatNGram: -1, Captions: 0,
		Ban: [][]int32{{0}, nil}, Force: [][][]int32{{}, {{1, 0}}},
	}
	draw := DefaultOptions()
	draw.Sample, draw.TopK, draw.TopP, draw.Temperature = true, MaxTopK+1, 0, -1
	for name, c := range map[string]struct {
		o    Options
		want []Field
	}{
		"search": {search, []Field{FieldMaxLen, FieldMinLen, FieldLengthPenalty, FieldNoRepeatNGram, FieldCaptions,
			FieldBan, FieldBan, FieldBeam, FieldGroups, FieldForce, FieldForce, FieldForce, FieldForce}},
		"draw":     {draw, []Field{FieldTemperature, FieldTopK, FieldTopP}},
		"defaults": {DefaultOptions(), nil},
	} {
		var errs FieldErrors
		errors.As(c.o.Validate(), &errs)
		var got []Field
		for _, e := range errs {
			got = append(got, e.Field)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q: %v", name, got, c.want, errs)
		}
	}
	if _, err := Run(newFake(t, 3), 1, Options{}); err == nil {
		t.Error("Run took invalid options")
	}
}

func TestGroupsAvoidEachOther(t *testing.T) {
	o := small()
	o.Beam, o.Groups, o.Captions, o.MaxLen, o.Diversity = 3, 3, 3, 4, 100
	firsts := map[int32]bool{}
	got := mustRun(t, newFake(t, 6, 3), o)[0]
	for _, h := range got {
		if len(h.Tokens) > 0 {
			firsts[h.Tokens[0]] = true
		} else {
			firsts[-1] = true
		}
	}
	if len(firsts) != 3 {
		t.Errorf("got %+v, want three different first words", got)
	}
}

func TestSamplingFollowsTheDistribution(t *testing.T) {
	f := newFake(t, 4)
	f.logits = func(_ int, p []int32) []float64 {
		if len(p) == 1 {
			return []float64{-99, math.Log(.5), math.Log(.3), math.Log(.2)}
		}
		return []float64{0, -99, -99, -99}
	}
	const n = 20000
	for i := range n {
		f.ids = append(f.ids, i)
	}
	for name, tc := range map[string]struct {
		change func(*Options)
		want   [4]float64
	}{
		"plain":       {func(o *Options) {}, [4]float64{0, .5, .3, .2}},
		"top-k 2":     {func(o *Options) { o.TopK = 2 }, [4]float64{0, .625, .375, 0}},
		"top-p 0.7":   {func(o *Options) { o.TopP = .7 }, [4]float64{0, .625, .375, 0}},
		"temperature": {func(o *Options) { o.Temperature = .5 }, [4]float64{0, .25 / .38, .09 / .38, .04 / .38}},
	} {
		o := small()
		o.Sample, o.TopK = true, 4
		tc.change(&o)
		var got [4]float64
		for _, h := range mustRun(t, f, o) {
			got[h[0].Tokens[0]] += 1. / n
		}
		for i := range got {
			if math.Abs(got[i]-tc.want[i]) > 0.015 {
				t.Errorf("%s: token %d drawn with frequency %.3f, want %.3f", name, i, got[i], tc.want[i])
			}
		}
	}
}

// What a run allocates must not grow with the vocabulary.
func TestAllocationsDoNotGrowWithTheVocabulary(t *testing.T) {
	measure := func(vocab int) float64 {
		o := small()
		o.MaxLen = 20
		s := stepFunc(func(r StepRequest) (Candidates, error) {
			n := len(r.Tokens) * r.K
			return Candidates{IDs: fixed[:n], LogProbs: fixedLogs[:n]}, nil
		})
		for i := range fixed {
			fixed[i] = int32(vocab - 1 - i%4)
		}
		return testing.AllocsPerRun(20, func() { _, _ = Run(s, 8, o) })
	}
	if a, b := measure(10), measure(1_000_000); b > a+4 { // the race detector adds one now and then
		t.Errorf("%g allocations with 10 tokens, %g with 1,000,000", a, b)
	}
}

var (
	fixed     = make([]int32, 4096)
	fixedLogs = make([]float32, 4096)
)

func FuzzRun(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(2), uint8(5), uint8(0), uint8(3), false)
	f.Add(uint64(2), uint8(1), uint8(1), uint8(1), uint8(0), uint8(0), true)
	f.Add(uint64(3), uint8(6), uint8(3), uint8(9), uint8(2), uint8(1), false)
	f.Fuzz(func(t *testing.T, seed uint64, beam, groups, maxLen, minLen, ngram uint8, sample bool) {
		o := small()
		o.Beam, o.Groups, o.NoRepeatNGram = int(beam), int(groups), int(ngram)
		o.MaxLen, o.MinLen = int(maxLen%24), int(minLen%24)
		o.Sample, o.Seed, o.TopK = sample, seed, 1+int(seed%9)
		o.Captions = 1 + int(seed%3)
		if seed%4 == 1 && !sample {
			o.Force, o.Ban = [][][]int32{{{1, 1}, {2}}}, [][]int32{{3, 1}}
		}
		if vocab := 2 + int(seed%7); len(o.Force) > 0 && vocab < 4 {
			return
		}
		if beam > 12 || o.Validate() != nil {
			return
		}
		vocab := 2 + int(seed%7)
		fk := newFake(t, vocab, int(seed%1000), 5, int(seed%77))
		fk.logits = noise(vocab, float64(1+seed%5)) // few levels: many ties
		out := mustRun(t, fk, o)
		if fk.steps > o.MaxLen {
			t.Fatalf("%d steps, want at most %d", fk.steps, o.MaxLen)
		}
		for i, hs := range out {
			if len(hs) == 0 || len(hs) > o.Captions {
				t.Fatalf("image %d: %d hypotheses, want 1 to %d", i, len(hs), o.Captions)
			}
			for _, h := range hs {
				if h.Finished && len(o.Force) > 0 && !contains(h.Tokens, []int32{1, 1}) && !contains(h.Tokens, []int32{2}) {
					t.Fatalf("%v lacks the forced word", h.Tokens)
				}
				if contains(h.Tokens, []int32{3, 1}) && len(o.Ban) > 0 {
					t.Fatalf("%v holds the banned run", h.Tokens)
				}
				checkHypothesis(t, fk, o, fk.ids[i], h)
			}
			if !slices.IsSortedFunc(hs, better) && o.Groups < 2 && len(o.Force) == 0 {
				t.Fatalf("image %d: not best first: %+v", i, hs)
			}
		}
	})
}

// checkHypothesis computes everything that a hypothesis claims anew.
func checkHypothesis(t *testing.T, f *fake, o Options, image int, h Hypothesis) {
	t.Helper()
	sum, prefix := 0.0, []int32{o.BOS}
	for _, id := range h.Tokens {
		sum += float64(float32(logSoftmax(f.logits(image, prefix))[id]))
		prefix = append(prefix, id)
	}
	length := len(h.Tokens)
	if h.Finished {
		sum += float64(float32(logSoftmax(f.logits(image, prefix))[o.EOS]))
		length++
		if len(h.Tokens) < o.MinLen {
			t.Fatalf("%v ends before the min length %d", h.Tokens, o.MinLen)
		}
	}
	if math.Abs(sum-h.LogProb) > 1e-9 || h.Length != length || h.Length > o.MaxLen || slices.Contains(h.Tokens, o.EOS) {
		t.Fatalf("got %+v, want sum %g, length %d of at most %d, no end token inside", h, sum, length, o.MaxLen)
	}
	if n := o.NoRepeatNGram; n > 0 {
		for i := n; i <= len(h.Tokens); i++ {
			if slices.Contains(repeats(nil, h.Tokens[:i-1], h.Tokens[:i-1], n), h.Tokens[i-1]) {
				t.Fatalf("%v repeats a run of %d", h.Tokens, n)
			}
		}
	}
}
