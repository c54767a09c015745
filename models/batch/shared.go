package batch

import (
	"errors"
	"math"

	"captioner/torch"
)

// Share makes a batch of texts as Pack takes them, each of an image, as many of each, in which texts of an image that
// begin alike share the tokens of their beginning: a decoder without dropout computes the same for both. What is wanted
// behind them counts by the value of its text; the first after targets of each count for nothing. Weights [K] in
// float32 are the sums of these values, one for each number of Targets, which belong to the tokens of Asked: targets
// whose sum is 0 are left out. The numbers of tokens and of targets are multiples of 64, as PackRounded makes them.
func Share(texts [][]int32, images int, values []float32, after int, dev torch.Device) (
	b *Texts, weights *torch.Tensor, err error,
) {
	length, err := longest(texts)
	if err != nil {
		return nil, nil, err
	}
	if images < 1 || len(texts)%images != 0 || len(values) != len(texts) {
		return nil, nil, errors.New("batch of texts: want as many texts of each image, and a value for each")
	}
	s := sharing{each: len(texts) / images, length: length, after: after, starts: []int64{0}, images: []int64{0}}
	for i := range images {
		s.image(texts[i*s.each:(i+1)*s.each], values[i*s.each:(i+1)*s.each])
	}
	s.fill()
	b = &Texts{
		Rows:      int64(len(texts)),
		Len:       int64(length),
		Tokens:    torch.Upload(s.tokens, dev),
		Positions: torch.Upload(s.positions, dev),
		Targets:   torch.Upload(s.targets, dev),
		Starts:    torch.FromSlice(s.starts),
		Count:     s.count,
		shared: &shared{
			whole:  torch.Upload(s.whole, dev),
			firsts: torch.Upload(s.firsts, dev),
			asked:  torch.Upload(s.asked, dev),
			images: s.images,
		},
	}
	if len(s.whole) < len(texts)*length {
		b.Index = torch.Upload(s.index, dev)
	}
	return b, torch.Upload(s.weights, dev), nil
}

// Weighed is Share, or, where share is false, the same of a batch whose texts share nothing.
func Weighed(share bool, texts [][]int32, images int, values []float32, after int, dev torch.Device) (
	b *Texts, weights *torch.Tensor, err error,
) {
	if share {
		return Share(texts, images, values, after, dev)
	}
	if b, err = PackRounded(texts, dev); err != nil {
		return nil, nil, err
	}
	b.After(after)
	return b, b.Spread(values), nil
}

// shared is what a batch of shared tokens has beside them. M is the number of tokens of all texts, each by itself.
type shared struct {
	whole  *torch.Tensor // [M], the token of each
	firsts *torch.Tensor // [N], where each token first stands among M
	asked  *torch.Tensor // [K], the tokens behind which something is wanted
	images []int64       // where the tokens of each image start
}

// sharing is a batch that is being made.
type sharing struct {
	each, length, after, count int
	tokens, positions, firsts  []int64 // [N]
	whole, index               []int64 // [M]
	asked, targets             []int64 // [K]
	weights                    []float32
	starts, images             []int64
}

// step is a token behind another one; before is -1 for the first.
type step struct {
	before int64
	token  int32
}

// image adds the texts of an image.
func (s *sharing) image(texts [][]int32, values []float32) {
	known := map[step]int64{} // the token in the batch
	wanted, order := map[step]float64{}, []step(nil)
	for r, text := range texts {
		s.count += len(text) - 1 - s.after
		at := int64(-1)
		for t, token := range text[:len(text)-1] {
			k := step{at, token}
			next, ok := known[k]
			if !ok {
				next = int64(len(s.tokens))
				known[k] = next
				s.tokens, s.positions = append(s.tokens, int64(token)), append(s.positions, int64(t))
				s.firsts = append(s.firsts, int64(len(s.whole)))
			}
			at = next
			row := len(s.starts) - 1
			s.whole, s.index = append(s.whole, at), append(s.index, int64(row*s.length+t))
			if t < s.after {
				continue
			}
			w := step{at, text[t+1]}
			if _, ok := wanted[w]; !ok {
				order = append(order, w)
			}
			wanted[w] += float64(values[r])
		}
		s.starts = append(s.starts, int64(len(s.whole)))
	}
	for _, w := range order {
		if math.Abs(wanted[w]) > 1e-7 { // what is left of values that cancel out
			s.ask(w.before, int64(w.token), float32(wanted[w]))
		}
	}
	s.images = append(s.images, int64(len(s.tokens)))
}

func (s *sharing) ask(token, target int64, weight float32) {
	s.asked, s.targets, s.weights = append(s.asked, token), append(s.targets, target), append(s.weights, weight)
}

// fill adds tokens that no text has, and targets that count for nothing.
func (s *sharing) fill() {
	for len(s.tokens)%round != 0 {
		s.tokens, s.positions, s.firsts = append(s.tokens, 0), append(s.positions, 0), append(s.firsts, 0)
	}
	s.images[len(s.images)-1] = int64(len(s.tokens))
	for len(s.asked) == 0 || len(s.asked)%round != 0 {
		s.ask(0, Ignore, 0)
	}
}

// Whole gives each token of each text its own row of x [N, X]: [M, X], where Padded and causal attention want them.
// Without tokens that are shared it is x.
func (b *Texts) Whole(x *torch.Tensor) *torch.Tensor {
	if b.shared == nil {
		return x
	}
	return x.IndexSelect(0, b.shared.whole)
}

// Firsts is the way back from Whole, for what tokens that are shared have in common.
func (b *Texts) Firsts(x *torch.Tensor) *torch.Tensor {
	if b.shared == nil {
		return x
	}
	return x.IndexSelect(0, b.shared.firsts)
}

// Asked gives the rows of x [N, X] that Targets belong to: all, but of a batch that Share made.
func (b *Texts) Asked(x *torch.Tensor) *torch.Tensor {
	if b.shared == nil {
		return x
	}
	return x.IndexSelect(0, b.shared.asked)
}

// Images says where the tokens of each of some images start, and where the last ones end.
func (b *Texts) Images(images int64) []int64 {
	if b.shared != nil {
		return b.shared.images
	}
	starts := torch.Slice[int64](b.Starts)
	out := make([]int64, images+1)
	for i := range out {
		out[i] = starts[int64(i)*b.Rows/images]
	}
	return out
}
