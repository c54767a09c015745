package metrics

import (
	"encoding/json"
	"os"
	"sync"
	"testing"
)

// cocoCaptions returns the captions of COCO val2017 by image, in the order of the file.
func cocoCaptions(t testing.TB) [][]string {
	t.Helper()
	b, err := os.ReadFile(shared(t, "coco_captions_val2017.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Annotations []struct {
			ImageID int    `json:"image_id"`
			Caption string `json:"caption"`
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	at := map[int]int{}
	var out [][]string
	for _, a := range d.Annotations {
		i, ok := at[a.ImageID]
		if !ok {
			i = len(out)
			at[a.ImageID] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], a.Caption)
	}
	return out
}

// tokenIDs numbers words.
func tokenIDs(ids map[string]int32, words []string) []int32 {
	out := make([]int32, len(words))
	for i, w := range words {
		id, ok := ids[w]
		if !ok {
			id = int32(len(ids))
			ids[w] = id
		}
		out[i] = id
	}
	return out
}

// rewardData returns the first caption of each image and the others by number, and the same as text.
func rewardData(t testing.TB, captions [][]string) (hyps [][]int32, refs [][][]int32, c *Corpus) {
	t.Helper()
	ids := map[string]int32{}
	var h []string
	var r [][]string
	for _, x := range captions {
		h, r = append(h, x[0]), append(r, x[1:])
	}
	c, err := NewCorpus(h, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r {
		var rs [][]int32
		for _, x := range c.refs[c.first[i]:c.first[i+1]] {
			rs = append(rs, tokenIDs(ids, x))
		}
		refs = append(refs, rs)
	}
	for i := range h {
		hyps = append(hyps, tokenIDs(ids, c.Tokens(i)))
	}
	return hyps, refs, c
}

func TestRewardEqualsCIDErD(t *testing.T) {
	var f struct{ Captions [][]string }
	fixture(t, "scores.json", &f)
	hyps, refs, c := rewardData(t, f.Captions)
	_, each := c.Evaluate(Options{})
	r, err := NewCIDErD(refs, DefaultCIDErDOptions())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i, h := range hyps {
				near(t, "CIDEr-D", r.Score(i, h), each.CIDErD[i], 1e-10)
			}
		})
	}
	wg.Wait()
}

func TestRewardEOS(t *testing.T) {
	refs := [][][]int32{{{1, 2, 3, 4}}, {{5, 6, 7, 8, 9}}, {{1, 6, 3}}}
	with := DefaultCIDErDOptions()
	with.EOS = 99
	r, err := NewCIDErD(refs, with)
	if err != nil {
		t.Fatal(err)
	}
	whole := r.Score(0, []int32{1, 2, 3, 4})
	near(t, "EOS given or added", r.Score(0, []int32{1, 2, 3, 4, 99}), whole, 0)
	if cut := r.Score(0, []int32{1, 2, 3}); cut >= whole {
		t.Errorf("caption cut short: got %v, want less than %v", cut, whole)
	}
	for _, bad := range [][][][]int32{{{}}, {{{1, -2}}}} {
		if _, err := NewCIDErD(bad, with); err == nil {
			t.Errorf("NewCIDErD(%v): got no error", bad)
		}
	}
}

func TestRewardAllocatesNothing(t *testing.T) {
	refs := [][][]int32{{{1, 2, 3, 4}, {1, 2, 4}}, {{5, 6, 7, 8, 9}}}
	r, err := NewCIDErD(refs, DefaultCIDErDOptions())
	if err != nil {
		t.Fatal(err)
	}
	s := r.NewScorer()
	hyp := []int32{1, 2, 77, 4, 1, 2}
	s.Score(0, hyp)
	if n := testing.AllocsPerRun(100, func() { s.Score(0, hyp) }); n != 0 {
		t.Errorf("allocations a caption: got %v, want 0", n)
	}
}

func BenchmarkReward(b *testing.B) {
	hyps, refs, _ := rewardData(b, cocoCaptions(b))
	r, err := NewCIDErD(refs, DefaultCIDErDOptions())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		s := r.NewScorer()
		for i := 0; pb.Next(); i++ {
			s.Score(i%len(hyps), hyps[i%len(hyps)])
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "captions/s")
}
