package flags

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
)

// settings stands for a file that no flag names.
const settings = "captioner.toml"

// habits are flags of other programs, and what stands for them here.
var habits = map[string]string{
	"output": "--out", "output-file": "--out", "output-dir": "--out", "out-dir": "--out", "save-dir": "--out",
	"dataset": "--data", "train-data": "--data", "annotations": "--data", "captions": "--data",
	"validation": "--val", "val-data": "--val", "image-dir": "--images", "image-folder": "--images",
	"checkpoint": "--model", "ckpt": "--model", "weights": "--model", "model-path": "--model", "pretrained": "--model",
	"batch": "--batch-size", "bs": "--batch-size", "bsz": "--batch-size",
	"num-workers": "--workers", "jobs": "--workers", "j": "--workers",
	"num-beams": "--beam-size", "beams": "--beam-size", "beam-width": "--beam-size",
	"max-length": "--max-len", "max-new-tokens": "--max-len", "max-tokens": "--max-len",
	"num-return-sequences": "--num-captions", "n": "--num-captions",
	"no-repeat-ngram-size": "--no-repeat-ngram", "do-sample": "--sample",
	"gpu": "--device cuda", "cuda": "--device cuda", "cpu": "--device cpu",
	"fp16": "--precision", "half": "--precision", "bf16": "--precision bf16", "int8": "--precision int8",
	"num-epochs": "--max-epochs", "num-train-epochs": "--max-epochs", "max-steps": "--max-epochs",
	"warmup-steps": "--warmup", "gradient-accumulation-steps": "--accumulate-grad-batches",
	"continue": "--resume", "force-overwrite": "--overwrite", "yes": "--overwrite",
	"bind": "--listen", "address": "--listen", "addr": "--listen",
	"gpus": "--nproc", "world-size": "--nproc", "license": "--licence", "config": settings,
}

// verbs are commands of other programs, and what stands for them here.
var verbs = map[string]string{
	"caption": "predict", "infer": "predict", "inference": "predict", "describe": "predict", "run": "predict",
	"generate": "predict", "tag": "predict", "watch": "predict --watch",
	"fit": "train", "finetune": "train", "fine-tune": "train", "resume": "train --resume",
	"evaluate": "eval", "score": "eval", "test": "eval", "embed": "encode", "features": "encode",
	"server": "serve", "web": "serve", "api": "serve", "gui": "serve", "ui": "serve",
	"fetch": "weights fetch", "download": "weights fetch", "pull": "weights fetch", "convert": "weights convert",
	"export": "weights convert", "inspect": "weights inspect", "info": "weights inspect", "show": "weights inspect",
	"list": "weights list", "ls": "weights list", "models": "weights list", "verify": "weights verify",
	"average": "weights average", "check": "doctor", "settings": "config",
}

// unknownFlag refuses a flag that is none of these, with the one that was probably meant.
func unknownFlag(app *cli.App, known []cli.Flag, path []string, word string) error {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	plain := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	var all []string
	for _, f := range known {
		all = append(all, f.Names()...)
	}
	hint := helpHint(path)
	meant, _, _ := strings.Cut(strings.TrimPrefix(habits[plain], "--"), " ")
	switch others := commandsWith(app, plain); {
	case isFile(word):
		hint = "write ./" + word + " for the file of this name"
	case slices.Contains(all, plain):
		hint = "did you mean " + dashed(plain) + "?"
	case meant == settings:
		hint = "captioner.toml in this folder or the user's own is read by itself; " +
			"the variable CAPTIONER_CONFIG names another file"
	case slices.Contains(all, meant):
		hint = "did you mean " + habits[plain] + "?"
	case Nearest(plain, all) != "":
		hint = "did you mean " + dashed(Nearest(plain, all)) + "?"
	case len(others) > 0 && len(path) > 0:
		hint = dashed(plain) + " is a flag of " + strings.Join(others, ", ") + "; " + hint
	}
	return console.Usagef(hint, "unknown flag %q", word)
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// commandsWith are the commands that have a flag of a name.
func commandsWith(app *cli.App, name string) (paths []string) {
	for _, c := range app.Commands {
		if len(c.Subcommands) == 0 && !c.Hidden && Named(c.Flags, name) != nil {
			paths = append(paths, c.Name)
		}
	}
	return paths
}

// unknownCommand refuses a command that there is not. What is an image or a folder was probably to be captioned.
func unknownCommand(commands []*cli.Command, path []string, word string, rest []string) error {
	names := CommandNames(commands)
	hint := "the commands are " + strings.Join(names, ", ")
	switch near := Nearest(word, names); {
	case len(path) == 0 && looksLikeInput(word):
		hint = "did you mean \"captioner predict " + strings.Join(append([]string{word}, rest...), " ") + "\"?"
	case near != "":
		hint = "did you mean " + near + "?"
	case len(path) == 0 && verbs[strings.ToLower(word)] != "":
		hint = "did you mean \"captioner " + verbs[strings.ToLower(word)] + "\"?"
	}
	return console.Usagef(hint, "unknown command %q", strings.Join(append(path, word), " "))
}

// looksLikeInput says whether a word is something that predict takes: a file, a folder, a pattern, an address.
func looksLikeInput(word string) bool {
	if strings.HasPrefix(word, "http://") || strings.HasPrefix(word, "https://") || strings.ContainsAny(word, "*?/") {
		return true
	}
	return isFile(word) || filepath.Ext(word) != ""
}

func isFile(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
