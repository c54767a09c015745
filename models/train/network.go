package train

import (
	"fmt"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/checkpoint"
	"captioner/models/crossgpt2"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// network is the captioner that learns.
type network struct {
	vision
	model   family.Learner
	spelled [][]int32 // the tokens of Init that each token stands for; nil where they are the same
}

// decoderConfig is the shape of the decoder: new, or that of a language model, with its words.
func (net *network) decoderConfig() (gpt2.Config, error) {
	if net.LanguageModel == "" {
		if _, err := net.newVocabulary(nil); err != nil {
			return gpt2.Config{}, err
		}
		return gpt2.Config{
			VocabSize: int64(net.tok.VocabSize()), Positions: net.Positions + 1,
			Width: net.Width, Layers: net.Layers, Heads: net.Heads, CrossAttention: true,
			Activation: "gelu_new", Epsilon: 1e-5, InitRange: .02,
			ResidualDrop: net.Dropout, EmbeddingDrop: net.InputDropout, AttentionDrop: net.AttentionDropout,
		}, nil
	}
	l, err := checkpoint.OpenLanguage(net.LanguageModel)
	if err != nil {
		return gpt2.Config{}, err
	}
	defer l.Close()
	net.tok = l.Tokenizer
	c := l.Config
	c.ResidualDrop, c.EmbeddingDrop, c.AttentionDrop = net.Dropout, net.InputDropout, net.AttentionDropout
	return c, nil
}

// extendVocabulary adds tokens to those of the captioner that learning starts from, which has byte-level BPE.
func (net *network) extendVocabulary(f *checkpoint.Checkpoint) error {
	old, err := f.BPE()
	if err != nil {
		return err
	}
	more, err := net.newVocabulary(old)
	if err != nil {
		return err
	}
	net.spelled = tokenizer.Spelled(more, old)
	net.tell(Event{Note: fmt.Sprintf("%d tokens besides the %d of %q", more.VocabSize()-old.VocabSize(), old.VocabSize(),
		net.Init)})
	return nil
}

// decodes is how the captioner is meant to be decoded.
func (j *job) decodes(net gpt2.Config) family.Decoding {
	longest := int(min(j.Positions, net.Positions))
	if j.FollowsOriginal() {
		return family.Decoding{Rule: decode.ClipDecoder, Beam: j.Beam, MaxLen: longest}
	}
	return family.Decoding{Beam: j.Beam, LengthPenalty: j.LengthPenalty, MaxLen: longest, NoRepeatNGram: 3}
}

// drop is the dropout that was chosen.
func (j *job) drop() family.Dropout {
	return family.Dropout{Parts: j.Dropout, Input: j.InputDropout, Attention: j.AttentionDropout}
}

// begin makes the model: new weights from the seed, or those of Init.
func (net *network) begin() (err error) {
	torch.Seed(net.Seed)
	number, _ := torch.ParsePrecision(net.Precision) // one of those that validate lets pass
	net.dtype = number.DType
	if net.Init != "" {
		return net.beginInit()
	}
	m, err := crossgpt2.New(net.config)
	if err != nil {
		return err
	}
	net.model = m
	m.Init() // on the CPU, whose numbers are the same everywhere
	if err := net.fill(m.Decoder); err != nil {
		return err
	}
	nn.Move(m, net.device)
	return nil
}

// beginInit takes the weights of Init.
func (net *network) beginInit() error {
	f, err := net.openCaptioner(net.Init)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := net.Architectures.OrKnown().Trainable(f)
	if err != nil {
		return err
	}
	f.Config.Decoder, f.Config.Memory.Dropout = d.WithDropout(net.drop()), net.InputDropout
	if net.model, err = f.LoadLearner(net.device, true); err != nil {
		return err
	}
	for _, remark := range f.Remarks() {
		net.warn("%s", remark)
	}
	if m, ok := net.model.(*crossgpt2.Model); ok && net.spelled != nil {
		m.Decoder.Respell(net.spelled)
	}
	return nil
}

// fill starts a decoder from the language model, where there is one.
func (net *network) fill(decoder *gpt2.Model) error {
	if net.LanguageModel == "" {
		return nil
	}
	l, err := checkpoint.OpenLanguage(net.LanguageModel)
	if err != nil {
		return err
	}
	defer l.Close()
	return l.Fill(decoder)
}

// weights are copies of all that learns.
func (net *network) weights() []weights.NamedTensor {
	out := nn.Save(net.model.Module(), "model")
	for _, p := range net.encoderParams() {
		out = append(out, p.Tensor.Named("model."+p.Name))
	}
	return out
}

// write writes the model as it is as a model file. An encoder that learnt has a checksum of its own: that of its
// weights.
func (net *network) write(path string, card family.Card) error {
	if !net.Group.IsLead() {
		return nil
	}
	c, encoder := net.config, net.encoder
	if net.tuner != nil {
		var err error
		if encoder, c.Encoder.SHA256, err = net.tuner.Tensors(); err != nil {
			return err
		}
		if told := fmt.Sprintf(", trained from stage %d on", net.stage()); !strings.Contains(card.Encoder, told) {
			card.Encoder += told
		}
	}
	return checkpoint.Save(path, c, net.tok, card, net.model, encoder)
}

// load puts the model of a file, and its encoder where that learns, in the place of the trainer's.
func (net *network) load(path string) error {
	f, err := net.Architectures.OrKnown().Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	best, err := f.LoadLearner(net.device, true)
	if err != nil {
		return err
	}
	net.model.Free()
	net.model = best
	if net.tuner == nil {
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
	vision, err := encoder.NewTuner(f.Config.Encoder, f.Config.Memory, src, net.stage(), net.device)
	if err != nil {
		return err
	}
	net.tuner.Free()
	net.tuner = vision
	return nil
}
