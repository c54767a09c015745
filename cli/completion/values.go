package completion

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/output"
	"captioner/cli/paths"
	"captioner/cli/published"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/evaluate"
	"captioner/weights/store"
)

func words(list ...string) (out []candidate) {
	for _, w := range list {
		word, about, _ := strings.Cut(w, "\t")
		out = append(out, candidate{word, about})
	}
	return out
}

// described are words with what is to say of them.
func described(list []string, about map[string]string) (out []candidate) {
	for _, w := range list {
		out = append(out, candidate{w, about[w]})
	}
	return out
}

// fixed are the values of flags that take one of a few words. A flag whose words depend on its command stands with the
// command's name.
var fixed = map[string][]candidate{
	"device": words("auto\ta GPU where there is one, else the processor", "cpu\tthe processor", "cuda\tthe first GPU",
		"cuda:0", "cuda:1", "cuda:all\tof predict: a process on every GPU"),
	"precision": words("auto\tthe model's own", "fp32\tthe reference", "bf16\tfaster on many processors and GPUs",
		"16\tfp16 on a GPU, bf16 on a processor", "fp16\ton a GPU alone", "int8\tfaster on a processor"),
	"cuda-graphs": words("auto\twhere they work", "on\tor fail", "off"),
	"train precision": words("bf16\tbfloat16", "16\tfloat16 with loss scaling; bfloat16 on a CPU", "32\tfloat32",
		"bf16-mixed", "16-mixed", "32-true", "fp16"),
	"format": described(output.Formats, map[string]string{"text": "path, tab, caption", "jsonl": "an object a line",
		"csv": "a table with commas", "tsv": "a table with tabs", "coco": "a list of results, as pycocoevalcap reads it",
		"webdataset": "a tar with images and captions", "parquet": "a table for data sets"}),
	"encode format": words("safetensors\tfor captioner and Python", "npy\tfor NumPy"),
	"existing": words("skip\tleave it, and do not caption the image", "overwrite\treplace it",
		"append\tput the caption behind what is there", "prepend\tput the caption before what is there"),
	"sidecar":            words(".txt\ttext", ".caption\ttext, for kohya's programs", ".xmp\tfor photo managers"),
	"sidecar-name":       words("stem\ta.jpg: a.txt", "full\ta.jpg: a.jpg.txt"),
	"shard":              words("auto\tas Slurm, Kubernetes, MPI or torchrun say"),
	"log-format":         words("text\tfor people", "json\tfor programs"),
	"encoder-activation": words("gelu\tmost of OpenCLIP's", "quick_gelu\tOpenAI's"),
	"clip-activation":    words("gelu\tmost of OpenCLIP's", "quick_gelu\tOpenAI's"),
	"decode": described(decode.RuleNames, map[string]string{"auto": "the model's own", "search": "captioner's",
		"python-greedy": "clip-text-decoder's", "python-beam": "clip-text-decoder's",
		"python-sample": "clip-text-decoder's"}),
	"memory": words(encoder.MemoryKinds...),
	"metric": described(evaluate.Families, map[string]string{"bleu": "BLEU-1 to BLEU-4",
		"meteor": "METEOR, whose data weights fetch gets", "rouge-l": "ROUGE-L", "cider": "CIDEr as coco-caption has it",
		"cider-d": "CIDEr-D", "cider-plain": "CIDEr of the paper", "clipscore": "wants --clip",
		"refclipscore": "wants --clip",
		"distinct":     "how much captions differ", "novelty": "captions that --training does not have",
		"bleu-gpt2": "clip-text-decoder's own", "bleu-hf": "clip-text-decoder's own"}),
	"missing":  words("skip\tleave the image out", "empty\tcount an empty caption"),
	"tokenize": words("together\tas coco-caption does", "each\teach caption by itself"),
	"recipe": words("clip-text-decoder\tthe newest of that package", "clip-text-decoder-1.4",
		"clip-text-decoder-1.2"),
	"schedule": words("cosine\tfalls like a half wave", "linear\tfalls evenly", "constant\tstays",
		"plateau\thalved where nothing gets better"),
	"monitor": words("cider\tCIDEr, the larger the better", "bleu4\tBLEU-4, the larger the better",
		"val_loss\tthe validation loss, the smaller the better"),
	"to": words("captioner\tone file for captioner", "lightning\tfor clip-text-decoder 1.4",
		"state-dict\tfor clip-text-decoder 1.4", "huggingface\ta folder for transformers",
		"tensors\tall tensors under their own names"),
	"task": words("caption\ta short caption", "detailed\ta longer one", "more-detailed\ta paragraph",
		"ocr\tthe text in the image"),
	"kernels": words("measured\tthe quickest here, and kept", "default\twithout measuring", "own\tcaptioner's",
		"onednn", "mkl\tin fp32 alone"),
	"dtype":  words("keep\tas they are", "fp32", "fp16", "bf16"),
	"listen": words("127.0.0.1:8080\tthis machine alone", "0.0.0.0:8080\tother machines too", "unix:", "systemd"),
}

// valuesOf are the words that a flag of a command takes, and whether it takes files too.
func valuesOf(con *console.Console, command, flag string) (all []candidate, isFile bool) {
	if all, ok := fixed[command+" "+flag]; ok {
		return all, false
	}
	if all, ok := fixed[flag]; ok {
		return all, false
	}
	switch flag {
	case "model", "also", "init":
		return named(con, store.Captioner), true
	case "encoder":
		return named(con, store.Encoder), true
	case "language-model":
		return named(con, store.LanguageModel), true
	case "clip":
		return named(con, store.Encoder), true
	case "data":
		if command == "train" {
			return words("coco2014\tCOCO 2014, fetched: 20 GB"), true
		}
	}
	use, ok := paths.UseOf(command, flag)
	return nil, ok && use != paths.Word
}

// named are the names of weights of some kinds, with what they are, and the repositories of the hub that are here.
func named(con *console.Console, kinds ...store.Kind) (out []candidate) {
	list, err := published.List(con, published.Options{})
	if err != nil {
		return nil
	}
	for _, l := range list {
		if slices.Contains(kinds, l.Kind) {
			out = append(out, candidate{l.Name, brief(l.What)})
		}
	}
	for _, name := range published.Cached(con) {
		if !slices.ContainsFunc(out, func(c candidate) bool { return c.word == name }) {
			out = append(out, candidate{name, "from the hub, here"})
		}
	}
	return out
}

// argumentsOf are the words that the arguments of a command may be, and whether they may be files too.
func argumentsOf(con *console.Console, command string, app *cli.App) (all []candidate, isFile bool) {
	switch command {
	case "weights fetch":
		return named(con, store.Captioner, store.Encoder, store.LanguageModel, store.Data), false
	case "weights inspect", "weights verify", "weights convert":
		return named(con, store.Captioner, store.Encoder, store.LanguageModel, store.Data), true
	case "config":
		return commandNames(visible(app.Commands)), false
	}
	return nil, true
}

// visible are the commands that do something themselves.
func visible(commands []*cli.Command) (out []*cli.Command) {
	for _, c := range commands {
		if !c.Hidden && len(c.Subcommands) == 0 && flags.FindCommand(out, c.Name) == nil {
			out = append(out, c)
		}
	}
	return out
}
