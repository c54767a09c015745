package captioner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"captioner/data/tokenizer"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/gpt2"
	"captioner/weights"
	"captioner/weights/pickle"
	"captioner/weights/safetensors"
)

// The names of the weights in a folder of Hugging Face or OpenCLIP, best first; each also as an index of shards.
var folderWeights = []string{"model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin"}

// describedFile names a captioner's description in a folder that this program wrote (see File.Export).
const describedFile = "captioner.json"

// inFolder says whether path is a folder of Hugging Face, or the weights in one, and which.
func inFolder(path string) (dir string, ok bool) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path, true
	}
	base := strings.TrimSuffix(filepath.Base(path), ".index.json")
	if !slices.Contains(folderWeights, base) {
		return "", false
	}
	_, err := os.Stat(filepath.Join(filepath.Dir(path), "config.json"))
	return filepath.Dir(path), err == nil
}

// openFolderWeights opens the weights of a folder: one file, or shards with an index.
func openFolderWeights(dir string) (weights.Source, error) {
	for _, name := range folderWeights {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return openFile(path)
		}
		if _, err := os.Stat(path + ".index.json"); err == nil {
			return openShards(dir, path+".index.json")
		}
	}
	return nil, fmt.Errorf("open %q: found none of %s, nor an index of their shards", dir, strings.Join(folderWeights, ", "))
}

// openShards opens the files that an index names and shows them as one. Names of files must be plain: an index reaches no other folder.
func openShards(dir, index string) (weights.Source, error) {
	var list struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := readJSON(index, &list); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, file := range list.Map {
		if file != filepath.Base(file) || file == "." || file == ".." {
			return nil, fmt.Errorf("read %q: found the shard %q, want the name of a file beside it", index, file)
		}
		names[file] = true
	}
	var shards []weights.Source
	closeAll := func() {
		for _, s := range shards {
			s.Close()
		}
	}
	for _, file := range slices.Sorted(maps.Keys(names)) {
		s, err := openFile(filepath.Join(dir, file))
		if err != nil {
			closeAll()
			return nil, err
		}
		shards = append(shards, s)
	}
	j, err := weights.Join(shards...)
	if err != nil {
		closeAll()
		return nil, fmt.Errorf("read %q: %w", index, err)
	}
	for tensor, file := range list.Map {
		if _, err := j.Tensor(tensor); errors.Is(err, weights.ErrNotFound) {
			j.Close()
			return nil, fmt.Errorf("read %q: tensor %q is not in %q, where the index has it", index, tensor, file)
		}
	}
	return j, nil
}

func readWhole(path string) ([]byte, error) {
	return encoder.Dir(filepath.Dir(path)).Read(filepath.Base(path))
}

func readJSON(path string, v any) error {
	return encoder.ReadJSON(encoder.Dir(filepath.Dir(path)), filepath.Base(path), v)
}

// openFile opens one file of tensors by its content.
func openFile(path string) (weights.Source, error) {
	s, err := safetensors.Open(path)
	if err == nil {
		return s, nil
	}
	p, perr := pickle.Open(path)
	if perr == nil {
		return p, nil
	}
	var refused *pickle.RefusedError
	if errors.As(perr, &refused) {
		return nil, perr
	}
	if system := syscall.Errno(0); errors.As(err, &system) {
		return nil, err
	}
	if isZip(path) {
		return nil, perr
	}
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		return nil, fmt.Errorf("open %q: the file is empty, want weights", path)
	}
	if what := foreign(path); what != "" {
		return nil, fmt.Errorf("open %q: found %s, want a file of weights", path, what)
	}
	return nil, &UnknownFormError{path, err, perr}
}

// foreign names what downloads leave in the place of a file of weights; "" is anything else.
func foreign(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var begin [512]byte
	n, _ := io.ReadFull(f, begin[:])
	text := strings.ToLower(strings.TrimSpace(string(begin[:n])))
	switch {
	case strings.HasPrefix(text, "version https://git-lfs.github.com/spec/"):
		return "a pointer of Git LFS, which stands for a file that was not downloaded (git lfs pull does it)"
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"):
		return "a web page, as a refused download leaves one"
	case strings.HasPrefix(text, "<?xml"):
		return "an XML document, as a refused download leaves one"
	}
	return ""
}

// isZip says whether a file begins as those of PyTorch do, whatever is wrong with the rest.
func isZip(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "PK\x03\x04"
}

// An UnknownFormError says that a file is of no form that is known.
type UnknownFormError struct {
	Path                string
	SafeTensors, Pickle error // what is wrong with it as the one and as the other
}

func (e *UnknownFormError) Error() string {
	if strings.EqualFold(filepath.Ext(e.Path), ".safetensors") {
		return e.SafeTensors.Error()
	}
	return fmt.Sprintf("%q is neither: %v; %v", e.Path, e.SafeTensors, e.Pickle)
}

// Unwrap returns both reasons.
func (e *UnknownFormError) Unwrap() []error { return []error{e.SafeTensors, e.Pickle} }

// OpenWeights opens the tensors of a checkpoint of any form, by its content: a file of safetensors or PyTorch, or a folder of Hugging Face.
func OpenWeights(path string) (weights.Source, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return openFolderWeights(path)
	}
	if strings.HasSuffix(path, ".index.json") {
		return openShards(filepath.Dir(path), path)
	}
	return openFile(path)
}

// folderConfig is what matters of a config.json beside the decoder's own settings.
type folderConfig struct {
	ModelType string          `json:"model_type"`
	Encoder   json.RawMessage `json:"encoder"` // of a VisionEncoderDecoderModel
	Decoder   json.RawMessage `json:"decoder"`
}

// openFolder makes a captioner of a folder of Hugging Face: GPT-2 with cross-attention, or a VisionEncoderDecoderModel with such a decoder. f
// owns src.
func openFolder(dir string, src weights.Source) (*File, error) {
	config, err := readWhole(filepath.Join(dir, "config.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("found a folder without config.json, want it beside the weights, as save_pretrained writes it")
	}
	if err != nil {
		return nil, err
	}
	var c folderConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, describedFile)); err == nil {
		return openDescribed(dir, src)
	}
	switch c.ModelType {
	case "vision-encoder-decoder":
		return openEncoderDecoder(dir, src, c)
	case "gpt2", "":
	default:
		if p, err := recognise(dir, src); err == nil {
			return nil, fmt.Errorf("found the encoder %s alone, want a captioner's model", p.Config.Architecture)
		}
		return nil, fmt.Errorf("read config.json: found model_type %q, want gpt2 or vision-encoder-decoder", c.ModelType)
	}
	d, err := gpt2.ParseConfig(config)
	if err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	f := &File{Path: dir, Config: Config{Name: filepath.Base(filepath.Clean(dir)), Decoder: d,
		Decoding: Decoding{Rule: decode.Python, Beam: 1, MaxLen: min(64, int(d.Positions))}}}
	f.Card = Card{Name: f.Config.Name, Data: "not told by the checkpoint", Licence: "not told by the checkpoint"}
	if err := f.wantEye("", encoder.PooledPadded); err != nil {
		return nil, err
	}
	return f, f.takeDecoder(dir, src)
}

// takeDecoder takes GPT-2's tensors out of a checkpoint, and the tokenizer out of the folder.
func (f *File) takeDecoder(dir string, src weights.Source) error {
	named, err := gpt2.Keys(src)
	if err != nil {
		return err
	}
	seen, err := gpt2.ConfigOf(named)
	if err != nil {
		return err
	}
	if !seen.CrossAttention || !f.Config.Decoder.CrossAttention {
		return errors.New("found GPT-2 without cross-attention, which cannot see, want a captioner")
	}
	if err := gpt2.CheckTied(named, ""); err != nil {
		return err
	}
	if f.src, err = decoderTensors(named); err != nil {
		return err
	}
	f.Tokenizer, err = folderWords(dir, f.Config.Decoder.VocabSize)
	return err
}

// folderWords reads the tokenizer of a folder: tokenizer.json, or vocab.json and merges.txt; without either, a vocabulary of GPT-2's size is
// GPT-2's.
func folderWords(dir string, vocabulary int64) (*tokenizer.Tokenizer, error) {
	t, err := readWords(dir)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return words(nil, vocabulary)
	}
	if n := int64(t.VocabSize()); n != vocabulary {
		return nil, fmt.Errorf("tokenizer: found %d tokens, want the decoder's %d", n, vocabulary)
	}
	return t, nil
}

func readWords(dir string) (*tokenizer.Tokenizer, error) {
	b, err := readWhole(filepath.Join(dir, "tokenizer.json"))
	if err == nil {
		return tokenizer.Parse(b)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	vocab, err := readWhole(filepath.Join(dir, "vocab.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	merges, err2 := readWhole(filepath.Join(dir, "merges.txt"))
	if err := errors.Join(err, err2); err != nil {
		return nil, oneLine(err)
	}
	return tokenizer.New(vocab, merges)
}

// openDescribed opens a folder that this program wrote: the decoder as Hugging Face has it, memory and encoder beside it.
func openDescribed(dir string, src weights.Source) (*File, error) {
	var d struct {
		Config Config `json:"captioner.config"`
		Card   Card   `json:"captioner.card"`
	}
	if err := readJSON(filepath.Join(dir, describedFile), &d); err != nil {
		return nil, err
	}
	f := &File{Path: dir, Config: d.Config, Card: d.Card}
	if err := f.Config.validateModel(); err != nil {
		return nil, fmt.Errorf("read %s: %w", describedFile, oneLine(err))
	}
	if err := f.takeDecoder(dir, src); err != nil {
		return nil, err
	}
	parts := []weights.Source{f.src}
	for _, prefix := range []string{"memory.", encoder.Prefix} {
		s, err := safetensors.Open(filepath.Join(dir, strings.TrimSuffix(prefix, ".")+".safetensors"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		var named weights.Source
		if err == nil {
			named, err = weights.Rename(s, weights.Prefix("", prefix))
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(parts[1:]))
		}
		parts = append(parts, named)
	}
	j, err := weights.Join(parts...)
	if err != nil {
		return nil, errors.Join(err, closeAll(parts[1:]))
	}
	f.src = j
	return f, nil
}

func closeAll(sources []weights.Source) error {
	var errs []error
	for _, s := range sources {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
