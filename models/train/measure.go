package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"captioner/data/metrics"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/weights"
)

// evalBatch is how many pictures are captioned at once when a model is measured.
const evalBatch = 64

// lossBatch is how many pictures' captions go through the model at once when their loss is measured.
const lossBatch = 16

// measure scores the averaged weights, keeps the model if it is the best so far, and says whether to stop early.
func (l *learner) measure() (stop bool, err error) {
	if l.ema != nil {
		l.ema.Swap()
		defer l.ema.Swap()
	}
	scores, captions, err := l.score(1)
	if errors.Is(err, decode.ErrNaN) {
		err = fmt.Errorf("train: phase %s, measure after step %d: the log-probabilities are NaN, want %w; the last checkpoint, if there is one, is as it was",
			l.name, l.state.Step, ErrNotFinite)
	}
	if err != nil {
		return false, err
	}
	value := scores[l.Monitor]
	if l.Monitor == "val_loss" {
		value = -value
	}
	e := Event{Phase: l.name, Step: l.state.Step, Steps: l.steps, Epoch: float64(l.state.Step) / float64(l.perEpoch), Scores: scores}
	for i := 0; i < len(captions); i += max(1, len(captions)/4) {
		e.Samples = append(e.Samples, Sample{l.val[i].Name(), captions[i]})
	}
	if e.Best = !l.state.Any || value > l.state.Best; e.Best {
		l.state.Any, l.state.Best, l.state.Worse = true, value, 0
	} else if l.state.Worse++; l.Schedule == plateau && l.state.Worse%2 == 0 {
		l.state.Halved++
	}
	if err := l.keep(e, scores); err != nil {
		return false, err
	}
	l.tell(e)
	return l.Patience > 0 && l.state.Worse >= l.Patience, l.record(e)
}

// score captions the validation pictures with the model as it is and measures the captions.
func (t *trainer) score(beam int) (map[string]float64, []string, error) {
	d := t.model.Decoder.Decoder(torch.Float32)
	defer d.Free()
	o := t.decoding(beam)
	hyps, refs := make([]string, 0, len(t.val)), make([][]string, 0, len(t.val))
	var total, tokens float64
	begin, end := t.Group.Share(len(t.val))
	for from := begin; from < end; from += evalBatch {
		n := min(evalBatch, end-from)
		var err error
		torch.NoGrad(func() {
			torch.Scoped(func() {
				var x *torch.Tensor
				if x, err = t.valSeen(from, n); err != nil {
					return
				}
				var found [][]decode.Hypothesis
				found, err = t.model.Decode(d, x, n, o)
				for _, h := range found {
					hyps = append(hyps, t.tok.Decode(h[0].Tokens))
				}
				for i := 0; i < n && err == nil; i += lossBatch {
					some := min(lossBatch, n-i)
					var s, c float64
					pictures, seen := t.val[from+i:from+i+some], x.Narrow(0, int64(i), int64(some))
					if s, c, err = t.valLoss(pictures, seen, t.dtype); err == nil && !finite(s) && t.dtype == torch.Float16 {
						s, c, err = t.valLoss(pictures, seen, torch.Float32)
					}
					total, tokens = total+s, tokens+c
				}
			})
		})
		if err != nil {
			return nil, nil, err
		}
	}
	for _, e := range t.val {
		refs = append(refs, e.Captions)
	}
	if err := sum(t.Group, &total, &tokens); err != nil {
		return nil, nil, err
	}
	hyps, err := t.gatherCaptions(hyps)
	if err != nil {
		return nil, nil, err
	}
	loss := total / math.Max(tokens, 1)
	s := metrics.Score(hyps, refs)
	return map[string]float64{"bleu1": s.BLEU[0], "bleu2": s.BLEU[1], "bleu3": s.BLEU[2], "bleu4": s.BLEU[3], "rouge_l": s.ROUGEL,
		"cider": s.CIDEr, "val_loss": loss, "distinct_captions": distinct(hyps)}, hyps, nil
}

// decoding are the options of a measurement.
func (t *trainer) decoding(beam int) decode.Options {
	o := decode.DefaultOptions()
	o.Beam, o.BOS, o.EOS = beam, t.tok.BOS(), t.tok.EOS()
	o.MaxLen, o.LengthPenalty, o.NoRepeatNGram = t.config.Decoding.MaxLen, t.config.Decoding.LengthPenalty, t.config.Decoding.NoRepeatNGram
	if o.Rule = t.config.Decoding.Rule; o.Rule != decode.Search {
		o.LengthPenalty, o.NoRepeatNGram = 0, 0
	}
	return o
}

// distinct is the share of captions that are different from all others before them.
func distinct(captions []string) float64 {
	seen := map[string]bool{}
	for _, c := range captions {
		seen[c] = true
	}
	return float64(len(seen)) / float64(len(captions))
}

func indices(from, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = from + i
	}
	return out
}

func same(f *Features, n int) []*Features {
	out := make([]*Features, n)
	for i := range out {
		out[i] = f
	}
	return out
}

// valLoss is the summed negative log-probability of the tokens of some pictures' captions, in nats, without smoothing, and their number. Products
// are in type d.
func (t *trainer) valLoss(pictures corpus, features *torch.Tensor, d torch.DType) (sum, tokens float64, err error) {
	var rows [][]int32
	most := 0
	for _, e := range pictures {
		most = max(most, len(e.text))
	}
	for _, e := range pictures { // each picture with as many rows: the missing ones repeat
		for k := range most {
			rows = append(rows, e.text[k%len(e.text)])
		}
	}
	torch.Scoped(func() {
		var b *gpt2.Batch
		if b, err = gpt2.PackRounded(rows, t.device); err != nil {
			return
		}
		var logits *torch.Tensor
		torch.Autocast(t.device, d, func() { logits = t.model.Logits(b, features, false) })
		tokens = float64(b.Count)
		sum = b.Loss(logits.To(torch.Float32), 0).Float() * tokens
	})
	return sum, tokens, err
}

// finish measures the best model with beam search and writes its final card. It runs on the torch thread.
func (t *trainer) finish(ctx context.Context) error {
	path := filepath.Join(t.dir, bestFile)
	if !t.state.Any { // a run without a measurement: what there is is the result
		if err := t.write(path, t.card); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil && t.Group.Size() == 1 {
		return err
	}
	if err := t.Group.Wait(context.WithoutCancel(ctx), "the best model"); err != nil {
		return err
	}
	if err := t.load(path); err != nil {
		return err
	}
	scores, captions, err := t.score(t.Beam)
	if err != nil {
		return err
	}
	t.card.Metrics, t.card.Decoding = scores, fmt.Sprintf("beam %d, length penalty %g", t.Beam, t.Penalty)
	e := Event{Phase: "final", Scores: scores}
	for i := 0; i < len(captions); i += max(1, len(captions)/8) {
		e.Samples = append(e.Samples, Sample{t.val[i].Name(), captions[i]})
	}
	if err := t.write(path, t.card); err != nil {
		return err
	}
	t.tell(e)
	return t.record(e)
}

// load puts the model of a file, and its encoder where that learns, in the place of the trainer's.
func (t *trainer) load(path string) error {
	f, err := t.Architectures.OrKnown().Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	best, err := f.LoadModel(t.device, true)
	if err != nil {
		return err
	}
	t.model.Free()
	t.model = best
	if t.tuner == nil {
		return nil
	}
	tensors, err := f.EncoderTensors()
	if err != nil {
		return err
	}
	src, err := weights.NewMemory(tensors, nil)
	if err != nil {
		return err
	}
	eye, err := encoder.NewTuner(f.Config.Encoder, f.Config.Memory, src, t.stage(), t.device)
	if err != nil {
		return err
	}
	t.tuner.Free()
	t.tuner = eye
	return nil
}
