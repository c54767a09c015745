package batch

import (
	"slices"
	"testing"

	"captioner/torch"
	"captioner/torch/torchtest"
)

func TestMain(m *testing.M) { torchtest.OneThread(m) }

// texts are rows of three lengths, with the tokens that begin and end them.
var texts = [][]int32{{1, 5, 6, 2}, {1, 2}, {1, 7, 2}}

func TestLayouts(t *testing.T) {
	for _, tt := range []struct {
		name    string
		make    func() (*Texts, error)
		tokens  []int64
		targets []int64
		index   []int64
		count   int
	}{
		{
			name:    "packed",
			make:    func() (*Texts, error) { return Pack(texts, torch.CPU) },
			tokens:  []int64{1, 5, 6, 1, 1, 7},
			targets: []int64{5, 6, 2, 2, 7, 2},
			index:   []int64{0, 1, 2, 3, 6, 7},
			count:   6,
		},
		{
			name:    "packed and filled up, where the whole is no multiple of 64",
			make:    func() (*Texts, error) { return PackRounded(texts, torch.CPU) },
			tokens:  []int64{1, 5, 6, 1, 0, 0, 1, 7, 0},
			targets: []int64{5, 6, 2, 2, Ignore, Ignore, 7, 2, Ignore},
			count:   6,
		},
		{
			name: "padded with the end token, which counts",
			make: func() (*Texts, error) {
				return Pad(texts, Padding{Token: 2, Target: 2, Mask: true, End: true}, torch.CPU)
			},
			tokens:  []int64{1, 5, 6, 1, 2, 2, 1, 7, 2},
			targets: []int64{5, 6, 2, 2, 2, 2, 7, 2, 2},
			count:   9,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Do(t, func() {
				b, err := tt.make()
				if err != nil {
					t.Fatal(err)
				}
				if got := torch.Slice[int64](b.Tokens); !slices.Equal(got, tt.tokens) {
					t.Errorf("tokens: got %v, want %v", got, tt.tokens)
				}
				if got := torch.Slice[int64](b.Targets); !slices.Equal(got, tt.targets) {
					t.Errorf("targets: got %v, want %v", got, tt.targets)
				}
				if (b.Index == nil) != (tt.index == nil) {
					t.Fatalf("index: got %v, want %v", b.Index, tt.index)
				}
				if tt.index != nil && !slices.Equal(torch.Slice[int64](b.Index), tt.index) {
					t.Errorf("index: got %v, want %v", torch.Slice[int64](b.Index), tt.index)
				}
				if b.Count != tt.count || b.Rows != 3 || b.Len != 3 {
					t.Errorf("got %d targets in %d rows of %d, want %d in 3 of 3", b.Count, b.Rows, b.Len, tt.count)
				}
				x := torch.Randn(torch.Float32, torch.CPU, b.Tokens.Numel(), 4)
				torchtest.Close(t, "packed and padded", b.Packed(b.Padded(x)), x)
			})
		})
	}
}

// The targets of a prompt are left out of the loss, and so is their count.
func TestAfter(t *testing.T) {
	torchtest.Do(t, func() {
		b, err := Pack([][]int32{{1, 5, 6, 2}, {1, 5, 2}}, torch.CPU)
		if err != nil {
			t.Fatal(err)
		}
		b.After(1)
		got, want := torch.Slice[int64](b.Targets), []int64{Ignore, 6, 2, Ignore, 2}
		if !slices.Equal(got, want) || b.Count != 3 {
			t.Errorf("got %v and a count of %d, want %v and 3", got, b.Count, want)
		}
	})
}

// A token looks at itself, at those before it in its row, and at nothing that is hidden.
func TestCausal(t *testing.T) {
	torchtest.Do(t, func() {
		b, err := Pad(texts, Padding{Target: Ignore, Mask: true}, torch.CPU)
		if err != nil {
			t.Fatal(err)
		}
		mask := torch.Slice[float32](b.Causal(torch.Float32)) // [3, 1, 3, 3]
		for r := range 3 {
			for from := range 3 {
				for to := range 3 {
					want := to <= from && to < len(texts[r])-1
					if got := mask[(r*3+from)*3+to] == 0; got != want {
						t.Errorf("row %d: token %d sees token %d: got %v, want %v", r, from, to, got, want)
					}
				}
			}
		}
	})
}

func TestRefuses(t *testing.T) {
	for name, rows := range map[string][][]int32{"no rows": nil, "a row of one token": {{1, 2}, {1}}} {
		if _, err := Pack(rows, torch.CPU); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
