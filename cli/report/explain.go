package report

import "strings"

// explanations say what a measure counts, by the beginning of its name; the first that fits holds.
var explanations = []Fact{
	{"BLEU-1", "The share of a caption's words that stand in a reference, less for captions that are too short."},
	{"BLEU-HF", "BLEU-4 over all words of both, as clip-text-decoder 1.4 computes it."},
	{"BLEU-GPT2", "BLEU over GPT-2's tokens, as clip-text-decoder 1.2 computes it."},
	{"BLEU-", "As BLEU-1, for runs of as many words as the number says: it sees whether words are in order."},
	{"METEOR", "Words that match as they are, by stem, by synonym or as a paraphrase, less where they are scattered."},
	{"ROUGE-L", "The longest run of words, with gaps, that a caption and a reference share."},
	{"CIDEr-D", "CIDEr that also counts how long a caption is, and words that it repeats only once."},
	{"CIDEr", "Runs of up to four words shared with the references, weighed by how telling they are: words that few " +
		"images have count most. People agree with it more than with BLEU; it may exceed 1."},
	{"CLIPScore", "How well caption and photograph fit by CLIP, without any reference."},
	{"RefCLIPScore", "CLIPScore together with how like the caption is to the references, by CLIP."},
}

// absent says why METEOR is not among the measures.
const absent = "METEOR is not here: its tables of synonyms and paraphrases are a download of their own (62 MB). " +
	"\"captioner weights fetch meteor\" gets them, and --meteor names a folder that has them."

// explained explains measures, and why METEOR is not there. Measures that have one explanation share it.
func explained(measures []Measure) (out []Fact) {
	meteor := false
	for _, m := range measures {
		meteor = meteor || m.Name == "METEOR"
		for _, e := range explanations {
			if !strings.HasPrefix(m.Name, e.Name) {
				continue
			}
			if n := len(out); n > 0 && out[n-1].Value == e.Value {
				out[n-1].Name += ", " + m.Name
			} else {
				out = append(out, Fact{m.Name, e.Value})
			}
			break
		}
	}
	if len(measures) > 0 && !meteor {
		out = append(out, Fact{"METEOR", absent})
	}
	return out
}
