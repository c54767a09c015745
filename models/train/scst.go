package train

import (
	"captioner/models/batch"
	"captioner/models/train/draw"
	"captioner/torch"
)

// scstStep is one step of self-critical training: captions are drawn for each image, and those that score better
// than the mean of the image's other draws become more likely. The returned number is the mean reward.
//
// Draws and gradient use the same temperature: label smoothing leaves probability on words that no caption has, and at
// temperature 1 they would be drawn.
func (l *learner) scstStep(step int) (mean *torch.Tensor, rows int, err error) {
	reward := 0.0
	whole := l.pick(step, l.SCSTBatch)
	l.batch = whole
	from, to := l.Group.Share(len(whole))
	index := whole[from:to]
	features, err := l.features(step, l.SCSTBatch)
	if err != nil {
		return nil, 0, err
	}
	drawn, err := l.drawCaptions(index, features, step)
	if err != nil {
		return nil, 0, err
	}
	n := l.SCSTSamples
	begin, end := l.config.Ends(l.tok)
	var texts [][]int32
	var advantage []float32
	for i, captions := range drawn {
		rewards := make([]float64, n)
		sum := 0.0
		for k, c := range captions {
			rewards[k] = l.reward.Score(index[i], l.captionOf(c.Tokens), c.Finished)
			sum += rewards[k]
		}
		reward += sum
		for k, c := range captions {
			row := append([]int32{begin}, c.Tokens...)
			if c.Finished || len(c.Tokens) == len(l.prompt) {
				row = append(row, end)
			}
			texts = append(texts, row)
			advantage = append(advantage, float32(rewards[k]-(sum-rewards[k])/float64(n-1)))
		}
	}
	b, weights, err := batch.Weighed(l.model.Shares(), texts, len(index), advantage, len(l.prompt), l.device)
	if err != nil {
		return nil, 0, err
	}
	var logits *torch.Tensor
	torch.Autocast(l.device, l.dtype, func() { logits = l.model.Logits(b, features, false) })
	if l.device != torch.CPU || l.dtype != torch.BFloat16 { // for that there is a kernel
		logits = logits.To(torch.Float32)
	}
	nll := torch.CrossEntropyAt(l.SCSTTemperature, logits, b.Targets, torch.Each, batch.Ignore, 0) // [K]
	part, err := l.exchange.Weigh(b.Count)
	if err != nil {
		return nil, 0, err
	}
	if err := l.exchange.LastBackward(); err != nil {
		return nil, 0, err
	}
	l.backward(nll.Mul(weights).Sum().MulScalar(part / float64(b.Count)))
	return torch.Full(reward/float64(len(whole)*n), torch.Float64, torch.CPU), len(whole) * n, nil
}

// drawCaptions draws SCSTSamples captions of each image from the model as it is.
func (l *learner) drawCaptions(index []int, features *torch.Tensor, step int) ([][]draw.Caption, error) {
	out := make([][]draw.Caption, len(index))
	for i, image := range index {
		out[i] = make([]draw.Caption, l.SCSTSamples)
		for k := range out[i] {
			out[i][k].Random = l.random("draw", (step*l.images+image)*l.SCSTSamples+k)
		}
	}
	w := l.model.Writer(l.sampleType())
	defer w.Free()
	o := l.decoding(1)
	r := draw.Rules{Begin: o.BOS, Ends: append([]int32{o.EOS}, o.Ends...), Prompt: o.Prompt, Most: o.MaxLen,
		Temperature: l.SCSTTemperature}
	return out, r.Captions(w, features, out)
}

// sampleType is what captions are drawn in: bfloat16 where training uses it.
func (l *learner) sampleType() torch.DType {
	if l.dtype == torch.BFloat16 && !l.device.IsCUDA() {
		return torch.BFloat16
	}
	return torch.Float32
}
