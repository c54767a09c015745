package help

import (
	"slices"

	"github.com/urfave/cli/v2"
)

// short is what the screen of a command shows: examples, and the flags that matter with a few words for each.
type short struct {
	examples []example
	flags    [][2]string // name, words
}

// example is a line as it is typed, and what it does.
type example struct{ line, what string }

// rows are the flags of the screen.
func (s short) rows(c *cli.Command) (rows [][2]string) {
	for _, r := range s.flags {
		for _, f := range c.Flags {
			if d, ok := f.(cli.DocGenerationFlag); ok && slices.Contains(f.Names(), r[0]) {
				rows = append(rows, [2]string{screenName(d), r[1]})
			}
		}
	}
	return rows
}

// screenName is a flag by its short name and its first long one.
func screenName(d cli.DocGenerationFlag) string {
	name := "    --" + d.(cli.Flag).Names()[0]
	for _, n := range d.(cli.Flag).Names() {
		if len(n) == 1 {
			name = "-" + n + ", --" + d.(cli.Flag).Names()[0]
		}
	}
	if _, value := placeholder(d); d.TakesValue() {
		name += " " + value
	}
	return name
}

// Examples are the examples of a command by its path, "" for the program: lines, each with what it does.
func Examples(path string) (list [][2]string) {
	for _, x := range shorts[path].examples {
		list = append(list, [2]string{x.line, x.what})
	}
	return list
}

// Flags are the flags on the screen of a command.
func Flags(path string) (names []string) {
	for _, f := range shorts[path].flags {
		names = append(names, f[0])
	}
	return names
}

// shorts are the screens, by the path of the command.
var shorts = map[string]short{
	"": {examples: []example{
		{"captioner predict photo.jpg", "a caption on the screen"},
		{"captioner predict photos/ -o captions.jsonl", "a line for each image"},
		{"captioner train --data c.json --encoder lite2", "a model of your own"},
		{"captioner eval --model runs/1 --data val.json", "its scores"},
		{"captioner serve", "a page, and an API"},
	}},
	"predict": {
		examples: []example{
			{"captioner predict photo.jpg", "a caption on the screen"},
			{"captioner predict photos/ -o captions.jsonl", "a file of JSON lines"},
			{"captioner predict photos/ --sidecar .txt", "a text beside each image"},
			{"captioner predict --model best.safetensors p.jpg", "a model of your own"},
			{"captioner predict photos/ --html page.html", "a page to look at"},
		},
		flags: [][2]string{
			{"model", "the captioner; without it, the built-in one"},
			{"out", "write to a file: .jsonl, .csv, .txt, .json, .tar"},
			{"resume", "go on with the --out of an earlier run"},
			{"sidecar", "write a file beside each image, such as .txt"},
			{"existing", "of sidecars: skip, overwrite, append, prepend"},
			{"prompt", "what every caption begins with"},
			{"num-captions", "captions of each image"},
			{"beam-size", "captions that are searched for at once"},
			{"device", "auto, cpu, cuda or cuda:N"},
			{"json", "JSON lines on standard output"},
		},
	},
	"train": {
		examples: []example{
			{"captioner train --data c.json --encoder lite2", "a small model"},
			{"captioner train --data photos/ --init demo", "the built-in model, your style"},
			{"captioner train --data c.csv --images photos/", "images that are elsewhere"},
			{"captioner train --resume runs/1", "go on after Ctrl-C"},
			{"captioner train --data c.json --dry-run", "the plan, and what it needs"},
		},
		flags: [][2]string{
			{"data", "captions: JSON, CSV, JSON lines, a folder, a tar"},
			{"val", "captions to measure on; else a share of --data"},
			{"encoder", "lite0, lite2, demo, ViT-B/32, …, or a file"},
			{"init", "the captioner to start from, such as demo"},
			{"out", "the run's folder; else runs/1 and so on"},
			{"resume", "go on with a run"},
			{"max-epochs", "how often each image is seen"},
			{"lr", "the highest learning rate"},
			{"batch-size", "images a batch"},
			{"device", "auto, cpu, cuda or cuda:N"},
		},
	},
	"encode": {
		examples: []example{
			{"captioner encode photos/ -o features/", "by the built-in encoder"},
			{"captioner encode --encoder ViT-B/32 photos/", "into the cache, for train"},
			{"captioner encode --data c.json --encoder lite2", "those of a data set"},
			{"captioner encode photos/ -o f/ --format npy", "for NumPy"},
		},
		flags: [][2]string{
			{"encoder", "lite0, lite2, demo, ViT-B/32, …, or a file"},
			{"model", "the captioner whose encoder is taken"},
			{"data", "the images of these captions"},
			{"images", "the folder of the images of --data"},
			{"out", "also write the features into a folder"},
			{"format", "of --out: safetensors or npy"},
			{"skip-bad", "go on without images that cannot be read"},
			{"cache", "the folder of cached features"},
			{"nproc", "processes that share the work"},
			{"device", "auto, cpu, cuda or cuda:N"},
		},
	},
	"eval": {
		examples: []example{
			{"captioner eval --data v.json", "the built-in model"},
			{"captioner eval --model best.safetensors --data v.json", "a model of yours"},
			{"captioner eval -p captions.json -r v.json", "of any program"},
			{"captioner eval --data v.json --report page.html", "with photographs"},
			{"captioner eval -p a.json --against b.json -r v.json", "which is better"},
		},
		flags: [][2]string{
			{"data", "images with the captions that people wrote"},
			{"model", "the captioner; without it, the built-in one"},
			{"predictions", "captions that are there already"},
			{"references", "what people wrote, for --predictions"},
			{"against", "captions to compare with"},
			{"metric", "only this measure; may be given again"},
			{"clip", "a CLIP, for CLIPScore: ViT-B/32 or a file"},
			{"report", "a page with scores and photographs"},
			{"save", "write the captions of --model"},
			{"json", "JSON on standard output"},
		},
	},
	"serve": {
		examples: []example{
			{"captioner serve", "a page, and an API"},
			{"captioner serve --port 9000", "at another port"},
			{"captioner serve --host 0.0.0.0 --token-file t", "for others"},
			{"captioner serve --model best.safetensors", "a model of yours"},
			{"curl -F a=@photo.jpg http://127.0.0.1:8080/v1/captions", "from the API"},
		},
		flags: [][2]string{
			{"model", "the captioner; without it, the built-in one"},
			{"listen", "HOST:PORT, unix:PATH or systemd"},
			{"host", "the host of --listen"},
			{"port", "the port of --listen"},
			{"token-file", "tokens: the API answers only who sends one"},
			{"tls-cert", "the certificate, for https"},
			{"tls-key", "its key"},
			{"rate", "requests a second of one client"},
			{"device", "auto, cpu, cuda or cuda:N"},
			{"verbose", "say more"},
		},
	},
	"merge": {examples: []example{
		{"captioner merge -o all.jsonl part-*.jsonl", "parts as one"},
	}},
	"doctor": {examples: []example{{"captioner doctor", "what works here"}}},
	"weights list": {examples: []example{
		{"captioner weights list", "names for --model, --encoder and --init"},
	}},
	"weights fetch": {examples: []example{
		{"captioner weights fetch ViT-B/32", "fetched once, by checksum"},
	}},
	"weights inspect": {examples: []example{
		{"captioner weights inspect best.safetensors", "what it is, its card and tensors"},
		{"captioner weights inspect", "the built-in model"},
	}},
	"weights verify": {examples: []example{
		{"captioner weights verify best.safetensors", "whether it is whole"},
	}},
	"weights convert": {examples: []example{
		{"captioner weights convert model.pt model.safetensors", "Python's, as one"},
	}},
	"weights average": {examples: []example{
		{"captioner weights average -o mean.safetensors runs/1/*-captions-*.safetensors", ""},
	}},
	"completion": {examples: []example{
		{"source <(captioner completion bash)", "in ~/.bashrc"},
		{"source <(captioner completion zsh)", "in ~/.zshrc"},
		{"captioner completion fish | source", "in ~/.config/fish/config.fish"},
	}},
	"config": {examples: []example{
		{"captioner config", "what is set, and by which file or variable"},
		{"captioner config predict", "every flag of predict, with its value"},
	}},
}
