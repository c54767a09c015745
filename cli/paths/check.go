package paths

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/cloud"
	"captioner/cli/console"
	"captioner/cli/input"
	"captioner/data"
	"captioner/weights/atomicfile"
	"captioner/weights/plural"
)

// Check refuses a command line by which a file that is read would be written, or one file be written twice, or
// something be written that is no plain file. The command is named as below the program: "weights convert". It is an
// error of usage, in one line that names both paths.
func Check(command string, c *cli.Context, stdin io.Reader, stdout io.Writer) error {
	k := checker{recursive: !c.Bool("no-recursive"), images: c.String("images"),
		objects: command == "predict" || command == "merge"}
	for _, n := range collect(command, c) {
		switch n.use {
		case Write, Socket, NewFolder, Folder, Cache:
			k.writes = append(k.writes, k.written(c, n))
		default:
			k.reads = append(k.reads, n)
		}
	}
	if f, ok := stdin.(*os.File); ok {
		k.stdin, _ = f.Stat()
	}
	if w, ok := redirected(stdout); ok {
		if err := k.reading(w); err != nil {
			return err
		}
	}
	for _, r := range k.reads {
		if cloud.Is(r.path) && (!k.objects || strings.HasPrefix(r.label, "--")) {
			return console.Usagef("predict and merge read objects in buckets", "%s %q: want a path of this machine",
				r.label, r.path)
		}
	}
	for i, w := range k.writes {
		if err := k.check(w, k.writes[:i]); err != nil {
			return err
		}
	}
	return nil
}

// redirected is standard output where the shell has led it to the end of a file. One that the shell has emptied holds
// nothing that could be lost.
func redirected(stdout io.Writer) (w written, ok bool) {
	f, ok := stdout.(*os.File)
	if !ok {
		return w, false
	}
	info, err := f.Stat()
	w.label, w.info = "standard output", info
	return w, err == nil && info.Mode().IsRegular() && info.Size() > 0
}

// checker holds the paths of one command line.
type checker struct {
	reads     []named
	writes    []written
	recursive bool
	objects   bool   // the command reads and writes objects in a cloud
	images    string // the folder of the images of data sets
	stdin     fs.FileInfo
}

// written is a path that a command writes to.
type written struct {
	named
	info fs.FileInfo // what is there now, at the end of all links; nil for nothing
	real string      // the path without links
}

func (k *checker) written(c *cli.Context, n named) written {
	if n.use == Socket {
		path, unix := strings.CutPrefix(n.path, "unix:")
		if !unix {
			return written{named: n}
		}
		n.path = path
	}
	if strings.Contains(n.path, "{part") {
		if s, err := input.ParseShard(c.String("shard"), os.Getenv); err == nil {
			if name, err := s.Name(n.path); err == nil {
				n.path = name
			}
		}
	}
	w := written{named: n, real: Real(n.path)}
	if info, err := os.Stat(n.path); err == nil {
		w.info = info
	}
	return w
}

// Real is the path of a file without links and from the root on, whether the file is there or not.
func Real(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real
	}
	if target, err := atomicfile.Target(abs); err == nil && target != abs {
		return Real(target) // a link to a file that is not there yet
	}
	folder, base := filepath.Split(abs)
	if real, err := filepath.EvalSymlinks(filepath.Clean(folder)); err == nil {
		return filepath.Join(real, base)
	}
	return abs
}

func (k *checker) check(w written, before []written) error {
	if w.path == "" || w.use == Socket && w.real == "" {
		return nil
	}
	if cloud.Is(w.path) {
		return k.object(w)
	}
	if w.path == "-" {
		return console.Usagef("./- is a file of that name",
			"%s \"-\": want the name of a file, for standard output is no place for it", w.label)
	}
	for _, other := range before {
		if w.use == Write && other.use == Write && strings.EqualFold(w.real, other.real) {
			return console.Usagef("give one of them another name", "%s %q and %s %q are one file",
				other.label, other.path, w.label, w.path)
		}
	}
	if w.use != Write {
		return k.folder(w)
	}
	var target *atomicfile.TargetError
	if _, err := atomicfile.Target(w.path); errors.As(err, &target) && !w.mayBeFolder() {
		return console.Usagef(target.Hint(), "%s %q is %s, want a file", w.label, w.path, target.Found)
	}
	if w.info != nil {
		return k.file(w)
	}
	return nil
}

// object refuses an object that is read, and objects of commands that write files alone.
func (k *checker) object(w written) error {
	if !k.objects || w.label != "--out" {
		return console.Usagef("predict and merge write --out into buckets", "%s %q: want a path of this machine", w.label,
			w.path)
	}
	p, err := cloud.Parse(w.path)
	if err == nil && (p.Key == "" || strings.HasSuffix(p.Key, "/") || p.IsPattern()) {
		err = errors.New("want the name of an object")
	}
	if err != nil {
		return console.Usagef(console.HintOf(err), "%s %q: %v", w.label, w.path, err)
	}
	for _, r := range k.reads {
		if o, err := cloud.Parse(r.path); err == nil && o.Matches(p) {
			return w.refuse(r.label, r.path)
		}
	}
	return nil
}

// mayBeFolder says whether the path may name a folder: of the second argument of weights convert.
func (w written) mayBeFolder() bool { return w.label == "OUT" && w.info != nil && w.info.IsDir() }

// file refuses to write a file that is there if it is read, or stands in a folder whose files of such names are.
func (k *checker) file(w written) error {
	if err := k.reading(w); err != nil {
		return err
	}
	for _, r := range k.reads {
		if r.readsFrom(w.real) {
			return w.refuse(r.label, r.path)
		}
	}
	return nil
}

// reading refuses to write a file that is there if it is one that is read.
func (k *checker) reading(w written) error {
	if k.stdin != nil && os.SameFile(k.stdin, w.info) {
		return w.refuse("standard input", "")
	}
	for _, r := range k.reads {
		for path := range k.files(r, w) {
			if info, err := os.Stat(path); err == nil && os.SameFile(info, w.info) {
				return w.refuse(r.label, r.path)
			}
		}
	}
	return nil
}

func (w written) refuse(label, path string) error {
	switch {
	case label == "":
		label = fmt.Sprintf("%q", path)
	case path != "":
		label = fmt.Sprintf("%s %q", label, path)
	}
	if w.path == "" { // standard output
		return console.Usagef("let the results go to a file of another name",
			"%s would be written into a file that is read: %s", w.label, label)
	}
	return console.Usagef("give "+w.label+" another name", "%s %q would be written over a file that is read: %s",
		w.label, w.path, label)
}

// files lists the files that a path stands for, as far as they are not found by their folder.
func (k *checker) files(r named, w written) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		switch r.use {
		case Images:
			if r.path != "-" && !input.IsURL(r.path) {
				in := input.Inputs{Args: []string{r.path}, Recursive: k.recursive}
				in.Files()(yield)
			}
		case DataSet:
			k.filesOfSet(r.path)(yield)
		default:
			yield(r.path)
		}
	}
}

// filesOfSet are the file of a data set and those of its images. What cannot be read ends them: the command says so.
func (k *checker) filesOfSet(path string) func(yield func(string) bool) {
	file := path
	if _, err := os.Stat(file); err != nil {
		if i := strings.LastIndex(file, "#"); i > 0 {
			file = file[:i]
		}
	}
	return func(yield func(string) bool) {
		if !yield(file) {
			return
		}
		set, err := data.Open(path, k.images)
		if err != nil {
			return
		}
		for e, err := range set.Source {
			if err != nil {
				return
			}
			for _, path := range []string{e.Path, e.Archive} {
				if path != "" && !yield(path) {
					return
				}
			}
		}
	}
}

// The files of a folder that are read because of their names, where the folder is a data set, and where it is a model.
var (
	setFiles   = []string{".txt", ".caption", ".tar", ".parquet", "metadata.jsonl", "metadata.csv"}
	modelFiles = []string{".safetensors", ".bin", ".json", ".txt", ".pt", ".pth", ".ckpt", ".pkl", ".model", ".gz", ".jar"}
)

// readsFrom says whether n names a folder of which the file at a real path is read.
func (n named) readsFrom(real string) bool {
	names := modelFiles
	switch {
	case n.use == Images, n.label == "--images", n.label == "--val-images": // their files are listed one by one
		return false
	case n.use == DataSet:
		names = setFiles
	}
	info, err := os.Stat(n.path)
	if err != nil || !info.IsDir() {
		return false
	}
	rel, err := filepath.Rel(Real(n.path), real)
	return err == nil && filepath.IsLocal(rel) && slices.ContainsFunc(names, func(name string) bool {
		return strings.HasSuffix(strings.ToLower(rel), name)
	})
}

// folder refuses to write files into a folder whose files are read, and to make a folder of one that holds others'.
func (k *checker) folder(w written) error {
	if w.info == nil {
		return nil
	}
	if w.use == Socket {
		return nil // server.Listen takes nothing away but a socket that nobody listens on
	}
	if !w.info.IsDir() {
		return console.Usagef("", "%s %q is a file, want a folder", w.label, w.path)
	}
	for _, r := range k.reads {
		for _, folder := range []string{r.path, filepath.Dir(r.path)} {
			info, err := os.Stat(folder)
			if err == nil && info.IsDir() && os.SameFile(info, w.info) && (w.use == NewFolder || folder == r.path) {
				return console.Usagef("give "+w.label+" a folder of its own",
					"%s %q is the folder of a file that is read: %s %q", w.label, w.path, r.label, r.path)
			}
		}
	}
	if w.use == NewFolder {
		return empty(w)
	}
	return nil
}

// empty refuses a folder that holds anything; that it holds a run, the trainer says in its own words.
func empty(w written) error {
	entries, err := os.ReadDir(w.path)
	if err != nil || len(entries) == 0 {
		return nil // what is wrong with it, making it says
	}
	for _, e := range entries {
		if e.Name() == "options.json" {
			return nil
		}
	}
	return console.Usagef("give the name of a new folder",
		"%s %q holds %s already, such as %q: want a new or an empty folder",
		w.label, w.path, plural.Count(len(entries), "file"), entries[0].Name())
}
