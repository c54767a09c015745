package train

import (
	"math"

	"captioner/data/metrics"
	"captioner/models/batch"
	"captioner/models/decode"
	"captioner/models/family"
	"captioner/models/train/ranks"
	"captioner/models/train/spelling"
	"captioner/torch"
)

// evalBatch is how many images are captioned at once when a model is measured.
const evalBatch = 64

// lossBatch is how many images' captions go through the model at once when their loss is measured.
const lossBatch = 16

// score captions the validation images with the model as it is and measures the captions.
func (net *network) score(beam int) (map[string]float64, []string, error) {
	w := net.model.Writer(torch.Float32)
	defer w.Free()
	o := net.decoding(beam)
	hyps, refs := make([]string, 0, len(net.val)), make([][]string, 0, len(net.val))
	var total, tokens float64
	begin, end := net.Group.Share(len(net.val))
	for from := begin; from < end; from += evalBatch {
		n := min(evalBatch, end-from)
		var err error
		torch.NoGrad(func() {
			torch.Scoped(func() {
				var x *torch.Tensor
				if x, err = net.valFeaturesOf(from, n); err != nil {
					return
				}
				var found [][]decode.Hypothesis
				found, err = family.Search(w, x, n, o)
				for _, h := range found {
					hyps = append(hyps, net.captionOf(h[0].Tokens))
				}
				for i := 0; i < n && err == nil; i += lossBatch {
					some := min(lossBatch, n-i)
					var s, c float64
					images, seen := net.val[from+i:from+i+some], x.Narrow(0, int64(i), int64(some))
					if s, c, err = net.valLoss(images, seen, net.dtype); err == nil && !finite(s) && net.dtype == torch.Float16 {
						s, c, err = net.valLoss(images, seen, torch.Float32)
					}
					total, tokens = total+s, tokens+c
				}
			})
		})
		if err != nil {
			return nil, nil, err
		}
	}
	for _, e := range net.val {
		refs = append(refs, e.Captions)
	}
	if err := ranks.Sum(net.Group, &total, &tokens); err != nil {
		return nil, nil, err
	}
	hyps, err := net.gatherCaptions(hyps)
	if err != nil {
		return nil, nil, err
	}
	loss := total / math.Max(tokens, 1)
	s := metrics.Score(hyps, refs)
	return map[string]float64{
		"bleu1": s.BLEU[0], "bleu2": s.BLEU[1], "bleu3": s.BLEU[2], "bleu4": s.BLEU[3],
		"rouge_l": s.ROUGEL, "cider": s.CIDEr,
		"val_loss": loss, "distinct_captions": distinct(hyps),
	}, hyps, nil
}

// decoding are the options of a measurement.
func (j *job) decoding(beam int) decode.Options {
	o := j.config.Options(j.tok) // whose lengths are those behind the prompt
	o.Beam, o.Prompt = beam, j.prompt
	o.MaxLen = max(1, min(o.MaxLen, j.rows().Longest+1))
	if o.Rule != decode.Search {
		o.LengthPenalty, o.NoRepeatNGram = 0, 0
	}
	return o
}

// captionOf is a caption without its prompt.
func (j *job) captionOf(tokens []int32) string { return j.tok.Decode(tokens[len(j.prompt):]) }

// rows is how captions become rows to learn.
func (j *job) rows() spelling.Rows {
	_, longest, _ := j.config.Decoder.Sizes()
	begin, end := j.config.Ends(j.tok)
	return spelling.Rows{Tokens: j.tok, Begin: begin, End: end, Prompt: j.prompt,
		Longest: int(longest) - 1 - len(j.prompt)}
}

// gatherCaptions puts together what the ranks have captioned, by rank.
func (net *network) gatherCaptions(own []string) ([]string, error) {
	return ranks.GatherJSON(net.Group, own)
}

// distinct is the share of captions that are different from all others before them.
func distinct(captions []string) float64 {
	seen := map[string]bool{}
	for _, c := range captions {
		seen[c] = true
	}
	return float64(len(seen)) / float64(len(captions))
}

// valLoss is the summed negative log-probability of the tokens of some images' captions, in nats, without smoothing,
// and their number. Products are in type d.
func (net *network) valLoss(images corpus, features *torch.Tensor, d torch.DType) (sum, tokens float64, err error) {
	var rows [][]int32
	most := 0
	for _, e := range images {
		most = max(most, len(e.text))
	}
	for _, e := range images { // each image with as many rows: the missing ones repeat
		for k := range most {
			rows = append(rows, e.text[k%len(e.text)])
		}
	}
	torch.Scoped(func() {
		var b *batch.Texts
		if b, err = batch.PackRounded(rows, net.device); err != nil {
			return
		}
		b.After(len(net.prompt))
		var logits *torch.Tensor
		torch.Autocast(net.device, d, func() { logits = net.model.Logits(b, features, false) })
		tokens = float64(b.Count)
		sum = b.Loss(logits.To(torch.Float32), 0).Float() * tokens
	})
	return sum, tokens, err
}
