package blip

import (
	"bytes"

	"captioner/models/batch"
	"captioner/models/bert"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

var _ family.Trainable = Decoder{}

// published are the rates that BLIP was tuned on COCO with (salesforce/BLIP, configs/caption_coco.yaml). Its authors
// had no self-critical training; that goes a fifth as fast.
const published, selfCritical = 1e-5, 2e-6

// Depth is how many layers the decoder has.
func (d Decoder) Depth() int { return d.Layers }

// Habits are the rate of BLIP's authors, and dropout and label smoothing of the config.
func (d Decoder) Habits() *family.Habits {
	return &family.Habits{
		LR: published, EncoderLR: published, SCSTLR: selfCritical, LabelSmoothing: d.LabelSmoothing,
		Dropout: family.Dropout{Parts: d.Hidden, Attention: d.Attention},
	}
}

// WithDropout is the decoder with other dropout. BLIP has none of its own for what enters the decoder.
func (d Decoder) WithDropout(p family.Dropout) family.Trainable {
	d.Hidden, d.Attention = p.Parts, p.Attention
	return d
}

// LoadLearner reads the decoder for training, in float32. An output layer that equals the token embedding is that one,
// as BLIP's authors and Hugging Face train it.
func (d Decoder) LoadLearner(src weights.Source, _ encoder.Memory, o nn.LoadOptions) (family.Learner, error) {
	if err := d.Matches(src, family.DecoderPrefix+"bert."); err != nil {
		return nil, err
	}
	m, err := NewTextDecoder(d.Config)
	if err != nil {
		return nil, err
	}
	if o.Prefix = family.DecoderPrefix; tied(src, o.Prefix) {
		if src, err = withoutHead(src, o.Prefix); err != nil {
			m.Free()
			return nil, err
		}
	}
	if err := m.Load(src, o); err != nil {
		m.Free()
		return nil, err
	}
	return &learner{m, d.Dropout}, nil
}

// The tensors that are one where the output layer is tied.
const (
	headWeight = "cls.predictions.decoder.weight"
	embedding  = "bert.embeddings.word_embeddings.weight"
)

// tied says whether a checkpoint holds the token embedding a second time, as the output layer.
func tied(src weights.Source, prefix string) bool {
	head, err := src.Tensor(prefix + headWeight)
	if err != nil {
		return false
	}
	table, err := src.Tensor(prefix + embedding)
	return err == nil && head.DType == table.DType && bytes.Equal(head.Data, table.Data)
}

// withoutHead shows a checkpoint without an output layer.
func withoutHead(src weights.Source, prefix string) (weights.Source, error) {
	return weights.Rename(src, func(name string) (string, bool) { return name, name != prefix+headWeight })
}

// learner is the text decoder while it learns.
type learner struct {
	Decoder *TextDecoder `key:"decoder"`

	dropout bert.Dropout
}

// Module is the decoder under its name in a model file.
func (l *learner) Module() any { return l }

// Logits gives [N, V] for every token of the batch, from all tokens of the vision tower [G, P, M].
func (l *learner) Logits(b *batch.Texts, features *torch.Tensor, train bool) *torch.Tensor {
	var drop bert.Dropout
	if train {
		drop = l.dropout
	}
	head := l.Decoder.head()
	return head.Forward(l.Decoder.BERT.Hidden(b, features, drop))
}

// Shares is false.
func (l *learner) Shares() bool { return false }

// Bare says whether a weight has no decay, by its name: that of positions.
func (l *learner) Bare(name string) bool {
	return name == "decoder.bert.embeddings.position_embeddings.weight"
}

// Writer prepares the weights as they are for inference in type d.
func (l *learner) Writer(d torch.DType) family.Writer { return writer{l.Decoder.Decoder(d)} }

// Free releases the weights.
func (l *learner) Free() { l.Decoder.Free() }
