// Package paths knows what every command does with the paths on its command line, and refuses a command that would
// write over what it reads. It looks before anything is written, and compares files by what they are: through links,
// by other spellings of a name, on file systems that know no upper case.
package paths

import (
	"github.com/urfave/cli/v2"
)

// Use is what a command does with the text of a flag or of an argument.
type Use int

// The uses of a text.
const (
	Word      Use = iota + 1 // no path
	Read                     // a file or a folder is read; a name of published weights is no path
	Images                   // what is captioned: files, folders, patterns, archives, addresses, "-"
	DataSet                  // captions, with the images that they name
	Write                    // a file is written, its name as it stands
	NewFolder                // a folder is made; one that is there already has to be empty
	Folder                   // files are written into a folder that may hold others
	Cache                    // a folder of files that captioner finds again
	Socket                   // "unix:PATH" is made, any other text is an address
)

// flagUses are the uses of all flags that take a text. A flag whose use depends on its command stands with the
// command's name.
var flagUses = map[string]Use{
	"model": Read, "also": Read, "encoder": Read, "init": Read, "language-model": Read, "clip": Read, "tags": Read,
	"embeddings": Read, "predictions": Read, "against": Read, "text": Read, "df": Read, "training": DataSet,
	"data": DataSet, "val": DataSet, "references": DataSet,
	"images": Read, "val-images": Read, "meteor": Read, "mirror": Read,
	"token-file": Read, "tls-cert": Read, "tls-key": Read,

	"out": Write, "failures": Write, "html": Write, "report": Write, "save": Write, "save-df": Write,
	"train out": NewFolder, "train resume": Folder, "encode out": Folder, "edit": Folder,
	"cache": Cache, "listen": Socket,

	"ban": Word, "cors-origin": Word, "cuda-graphs": Word, "decode": Word, "device": Word, "dtype": Word,
	"edit-extension": Word, "encoder-activation": Word, "clip-activation": Word, "encoder-name": Word,
	"existing": Word, "force": Word, "format": Word, "heads": Word, "host": Word, "kernels": Word, "licence": Word,
	"log-format": Word, "memory": Word, "metric": Word, "missing": Word, "monitor": Word, "name": Word, "nproc": Word,
	"precision": Word,
	"prompt":    Word, "recipe": Word,
	"schedule": Word, "shard": Word, "sidecar": Word, "sidecar-name": Word, "task": Word, "template": Word, "title": Word,
	"to": Word, "tokenize": Word,
}

// argumentUses are the uses of the arguments of a command; the last one stands for all that follow.
var argumentUses = map[string][]Use{
	"predict":         {Images},
	"encode":          {Images},
	"merge":           {Read},
	"weights convert": {Read, Write},
	"weights average": {Read},
	"weights inspect": {Read},
	"weights verify":  {Read},
	"weights fetch":   {Word},
	"config":          {Word},
	"__complete":      {Word},
}

// companions are the files that a command writes beside the one that a flag names.
var companions = map[string][]string{
	"predict out": {".part", ".journal", ".failed"},
}

// UseOf is what a command does with the text of a flag; ok is false where nobody has said it.
func UseOf(command, flag string) (u Use, ok bool) {
	if u, ok = flagUses[command+" "+flag]; ok {
		return u, true
	}
	u, ok = flagUses[flag]
	return u, ok
}

// named is a path on the command line.
type named struct {
	label string // "--out", "the argument"
	path  string
	use   Use
}

// Text says whether a flag takes a text, which may be a path.
func Text(f cli.Flag) bool {
	switch f.(type) {
	case *cli.StringFlag, *cli.StringSliceFlag, *cli.PathFlag, *cli.GenericFlag, *cli.MultiStringFlag:
		return true
	}
	return false
}

// collect lists the paths of a command line, in the order of the flags.
func collect(command string, c *cli.Context) (all []named) {
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		use, _ := UseOf(command, name)
		if !Text(f) || use == Word {
			continue
		}
		values := []string{c.String(name)}
		if _, list := f.(*cli.StringSliceFlag); list {
			values = c.StringSlice(name)
		}
		for _, v := range values {
			if v == "" || v == "-" && name == "out" && use == Write { // standard output
				continue
			}
			all = append(all, named{"--" + name, v, use})
			for _, suffix := range companions[command+" "+name] {
				if suffix != ".failed" || c.String("failures") == "" {
					all = append(all, named{"--" + name, v + suffix, use})
				}
			}
		}
	}
	uses := argumentUses[command]
	for i, v := range c.Args().Slice() {
		if len(uses) > 0 {
			use := uses[min(i, len(uses)-1)]
			label := "the argument"
			if use == Write {
				label = "OUT"
			}
			all = append(all, named{label, v, use})
		}
	}
	return all
}

// ArgumentUses are what a command does with its arguments; the last one stands for all that follow.
func ArgumentUses(command string) (uses []Use, ok bool) {
	uses, ok = argumentUses[command]
	return uses, ok
}
