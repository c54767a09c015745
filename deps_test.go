// The rules of the house, checked: which room may import which, and what no room may do. ARCHITECTURE.md explains them.
package captioner_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// edges is a statement of policy: a change here is a change of the architecture, never a way to mend a build.
//
//	room < rooms that it may import | what it may import from outside the standard library # what the room is for
//
// A room may import what it names and whatever those may import. What it names from outside is for itself alone: "C" is
// cgo, and a module stands for all its packages. The room * is every room. A room that is not here fails the test.
// A line that begins with a space goes on with the line before it.
const edges = `
*                   < weights/plural weights/mistakes | # numbers of things in messages, and what is wrong at once

weights/plural      <                       | github.com/dustin/go-humanize # "1 image", "1,000 images": leaf
weights/mistakes    < weights/plural        | # what is wrong with sizes or options, all at once
weights             <                       | # named tensors as bytes: leaf, any tool can use it
weights/atomicfile  < weights               |                               # writes a file whole or not at all
weights/safetensors < weights/atomicfile    |                               # a format, no tensors
weights/pickle      < weights/atomicfile    |                               # a format, executes nothing
weights/npy         < weights               |                               # a format, no tensors
weights/formats     < weights/safetensors weights/pickle weights/npy |      # opens a checkpoint by its content
weights/transfer    < weights/atomicfile    | github.com/gofrs/flock
                     # downloads: tried again, gone on with after a cut, checked
weights/hub         < weights/transfer weights/formats | # any repository of the Hugging Face hub, in its own cache
weights/hub/hubtest <                       |  # a stand-in of the hub, for tests: never in a binary
weights/store       < weights/hub           |
                     # published files: what they are, fetched once, by checksum

data/image/jpeg     <                       | C # the one room with libjpeg-turbo; pure Go without cgo
data/image/tiff     < data/image/jpeg       | C # the one room with libtiff; reads nothing without cgo
data/image/resample <                       | C # Pillow's resize, byte for byte; its loops in C where there is cgo
data/ifd            <                       |                               # directories of TIFF structures
data/datatest       <                       |                               # files for tests: never in a binary
data/image/raw      < data/ifd              |                               # previews in raw files of cameras
data/image/bmp      <                       |                               # bitmaps of every kind
data/image          < data/image/bmp data/image/jpeg data/image/tiff data/image/resample data/image/raw |
                      golang.org/x/image github.com/gen2brain       # files to pixels
data/tokenizer      <                       | github.com/sugarme/tokenizer golang.org/x/text # text to ids
data/mersenne       <                       |                               # PyTorch's random numbers on a CPU
data/metrics/ptb    <                       |                               # coco-caption's tokenizer
data/metrics        < data/metrics/ptb data/mersenne | github.com/klauspost/compress # text to scores
data/image/thumbnail < data/image           |                               # small photographs for pages
data/text           < data/image            | golang.org/x/text             # the one reader of foreign text
data/unpack         <                       | github.com/klauspost/compress github.com/therootcompany/xz
                     # compressed files as if they were not
data/metadata/xmp   < data/text             |                               # XMP packets, read and changed in place
data/metadata       < data/metadata/xmp data/ifd |                          # what images say of themselves
data/keywords       <                       |                               # what English captions name
data/parquet/bounds <                       | github.com/parquet-go/parquet-go github.com/klauspost/compress
                      github.com/andybalholm/brotli github.com/pierrec/lz4/v4
                     # tables held to their size before they are read
data/parquet        < data/parquet/bounds   | github.com/parquet-go/parquet-go # tables of images and captions
data/sidecar        < data/image            |                               # finds the text beside an image
data/record         < data/text data/unpack |                               # entries of files of captions
data                < data/record data/sidecar data/parquet |               # examples: paths and captions, not pixels
data/predictions    < data                  |                               # captions of programs, put to examples
data/coco           < weights/store         | golang.org/x/sync github.com/gofrs/flock
                     # COCO 2014, member by member out of its archives

models/decode       < data/mersenne         | # searches over numbers: plain Go, so that it is tested without libtorch

torch/kernels       <                       | C # the C++ of torch; without Go, it is seldom compiled again
torch/gpu           < torch/kernels         | C # more of it, for GPUs alone
torch               < weights torch/gpu | C github.com/sugarme/gotch/libtch
                     # the only room that sees libtorch; a tensor comes from named bytes
torch/nn            < torch                 |
torch/nn/measure    < torch/nn weights/atomicfile | # which kernels are quick here, kept in a file
torch/optim         < torch/nn              | # parameters come from the walk over a module
torch/dist/c10d     <                       | C # its C++; without Go, it is seldom compiled again
torch/dist          < torch torch/dist/launch torch/dist/c10d | C # process groups of libtorch
torch/dist/launch   <                       | # who started this process: variables only, for any command
torch/standin       < torch torch/standin/device | # for tests: a GPU that is none, behind the build tag standin
torch/standin/device <                      | C # its C++
torch/torchtest     < torch torch/standin weights/safetensors |             # for tests: never in a binary

models/encoder      < torch/nn data/image | # the contract of vision encoders: it knows none of them
models/clip         < models/encoder        | # one published architecture each: they know no files, no text
models/vit          < models/encoder        | # the plain transformer that several encoders are
models/siglip       < models/vit            |
models/dinov2       < models/vit            |
models/bert         < models/family models/kvcache | # BERT's layers as a text decoder, and its tokenizer's files
models/blip         < models/vit models/bert |
models/git          < models/bert models/clip |
models/efficientnet < models/encoder        |
models/davit        < models/encoder        |
models/swin         < models/encoder        |
models/beit         < models/encoder        |
models/bart         < models/bert           | # a transformer that reads and writes, on BERT's layers
models/florence2    < models/davit models/bart |
models/batch        < torch                 | # texts as tensors, as decoders learn from them
models/kvcache      < torch                 | # keys and values of the texts that a transformer writes
models/gpt2         < torch/nn models/kvcache models/batch |
models/family       < models/encoder models/decode models/batch data/tokenizer |
                     # the contract of captioners: it knows none of them
models/crossgpt2    < models/family models/gpt2 | # the captioner that is trained here: a memory, and GPT-2 on it
models/clipdecoder10 < models/family models/gpt2 models/clip weights/pickle | # clip-text-decoder 1.0.0
models/clipcap      < models/family models/gpt2 models/clip | # CLIP's embedding as the prefix of GPT-2
models/coca         < models/family models/clip models/kvcache | # CoCa, as open_clip has it
models/kinds        < models/encoder weights/formats | # what belongs to models but is none
models/checkpoint   < models/kinds models/crossgpt2 models/clipdecoder10 models/blip models/git models/florence2
                      models/clipcap models/coca models/efficientnet models/siglip models/dinov2 models/swin
                      models/beit weights/formats |
                     # files of captioners and encoders, and the one table of both
models/average      < models/checkpoint     | # the mean of captioners
models/captioner/demo <                     |                               # the built-in model file, as bytes
models/captioner    < models/captioner/demo models/checkpoint data/keywords |
                     # the library's front door: images in, captions out
models/evaluate     < models/clipscore data/predictions data/metrics | golang.org/x/sync
                     # a data set's captions and their scores
models/pipeline     < models/decode data/image | # a stream of images through a model, in order and in bounded memory
models/train/features < models/family torch/dist data weights/safetensors |
                     # an encoder's features of images, computed once and kept on disk
models/train/curves < weights/atomicfile    | gonum.org/v1/plot # losses and scores drawn, and for TensorBoard
models/train/board  < data/image            | golang.org/x/image            # a training as TensorBoard reads it
models/train/spelling < data/tokenizer |                              # captions as rows of tokens
models/train/draw   < models/family         |                               # captions drawn from a model that learns
models/train/reward < data/metrics          |                               # what drawn captions are worth: text only
models/train/ranks  < torch/dist torch/nn   |                               # what processes that share a run exchange
models/train/recipe < models/checkpoint torch/dist |                   # what may be chosen, and its defaults
models/train/hold   <                       | github.com/gofrs/flock # a run's folder, for one process at a time
models/train/environment < torch            |                               # by what and on what a run was made
models/train        < models/train/features models/train/curves models/train/board models/train/reward
                      models/train/ranks models/train/recipe models/train/environment models/train/spelling
                      models/train/hold models/train/draw models/captioner torch/optim torch/dist data
                      data/metrics | golang.org/x/sync # the loop

models/tags         < models/clipscore data/keywords |                     # tags of a list, by CLIP
models/clipscore    < models/clip data/tokenizer weights/formats |
                     # captions and pictures to scores

cli/server/chat     < models/decode         |                               # what chat APIs have in common
cli/server/ollama   < cli/server/chat       |                               # Ollama's API, without HTTP
cli/server/openai   < cli/server/chat       |                               # OpenAI's API, without HTTP
cli/server/listen   <                       |                               # addresses, certificates, systemd
cli/server/access   <                       | golang.org/x/time             # tokens and rates
cli/server/metrics  <                       | github.com/prometheus/client_golang # for Prometheus
cli/server/page     <                       |                               # what a browser is sent
cli/server/problem  < data/image            |                               # errors as answers (RFC 9457)
cli/server/edit     < cli/server/problem data/sidecar data/text weights/atomicfile |
                     # a folder of images, and captions saved beside them
cli/server/export   < data/metadata data/parquet | # captions of the page as files
cli/server          < cli/server/ollama cli/server/openai cli/server/listen cli/server/access cli/server/metrics
                      cli/server/page cli/server/edit cli/server/export data/image/thumbnail | github.com/rs/cors
                     # captions over HTTP, over a model that it knows as an interface
cli/enlarge         <                       |                               # photographs of a page, shown large
cli/report          < cli/enlarge data/image/thumbnail | # an evaluation as one page
cli/console         <                       | github.com/schollz/progressbar/v3 golang.org/x/term
                      github.com/dustin/go-humanize
                     # streams, terminal, progress, errors with hints, exit codes
cli/prompt          <                       |                               # prompts with variables
cli/flags           < cli/console cli/prompt models/decode models/checkpoint torch/nn |
                      github.com/urfave/cli/v2
                     # flags that several commands share
cli/help            <                       | github.com/urfave/cli/v2   # what a command is for: a screen, or the whole
cli/ranks           < cli/flags torch/dist  |                               # one command's work in several processes
cli/cloud           < cli/cloud/gcs cli/console | gocloud.dev github.com/aws/smithy-go
                      github.com/Azure/azure-sdk-for-go/sdk/azcore google.golang.org/api
                      github.com/bmatcuk/doublestar/v4
                     # objects in buckets
cli/cloud/gcs       <                       | gocloud.dev google.golang.org/api golang.org/x/oauth2
                     # Google's Cloud Storage as a bucket of gocloud's
cli/cloud/cloudtest <                       | github.com/johannesboyne/gofakes3
                     # a service of S3, for tests: never in a binary
cli/input           < cli/cloud cli/console torch/dist/launch data data/image data/text data/unpack weights/npy
                      weights/safetensors |
                      github.com/fsnotify/fsnotify github.com/bmatcuk/doublestar/v4
                     # what is captioned
cli/paths           < cli/input data weights/atomicfile | github.com/urfave/cli/v2
                     # what commands read and write, and that these are not one file
cli/config          < cli/flags cli/paths   | github.com/urfave/cli/v2 github.com/pelletier/go-toml/v2
                     # captioner.toml: flags that are not given each time
cli/completion      < cli/output cli/paths cli/flags cli/published models/evaluate | github.com/urfave/cli/v2
                     # what may stand next on a command line
cli/output          < cli/enlarge cli/input models/train/features models/captioner models/tags data/metadata |
                      github.com/klauspost/compress
                     # where captions and features go
cli/output/remote   < cli/output            |                               # captions into buckets
cli/published       < cli/console data/coco models/captioner/demo models/checkpoint models/train/features
                      weights/store |
                      github.com/urfave/cli/v2 # weights and data by name, fetched
cli/model           < models/captioner models/clipscore torch/nn/measure cli/flags cli/input cli/published
                      cli/server |
                     # the captioner that the flags name
cli/inspect         < cli/published cli/flags models/captioner |
                     # what a file of weights is, and whether it is whole
cli/captioning      < models/pipeline cli/output cli/model cli/report data/metadata | # for predict and eval
cli/tagging         < cli/model cli/output models/tags data/record | github.com/urfave/cli/v2 # --tags
cli/fleet           < cli/model             |                               # predict on all GPUs: a process each
cli/training        < models/train cli/ranks cli/paths cli/model | github.com/urfave/cli/v2 # the command train
cli/scoring         < models/evaluate cli/tagging cli/captioning cli/ranks cli/paths |
                      github.com/urfave/cli/v2 golang.org/x/sync # the command eval
cli/version         < cli/flags           | github.com/urfave/cli/v2   # which captioner this is, of what it was built
cli/doctor          < cli/model             | github.com/urfave/cli/v2 # what works on this machine
cli                 < cli/doctor cli/output/remote cli/training cli/scoring cli/inspect cli/fleet cli/help cli/config
                      cli/completion cli/version models/average |
                      github.com/urfave/cli/v2 golang.org/x/sync            # one thin file a command
cli/captioner       < cli torch/standin     | C                              # main: a dozen lines; C sees closed output
scripts/democlasses < models/efficientnet weights/formats | # what is in photographs that have no captions
scripts/bench/serve <                       | # load for a service, from a process of its own
scripts/hubstandin  < weights/hub/hubtest   | # a hub for programs of other languages to read from
scripts/screenshots <                       | github.com/chromedp # the images in docs/images
`

// testEdges says what the tests of a room may import beyond what the room may, in the same form.
const testEdges = `
*                   < weights/safetensors   | github.com/google/go-cmp      # fixtures are safetensors files
torch               < torch/torchtest       |
torch/standin       < torch/torchtest       |
torch/nn            < torch/torchtest       |
torch/nn/measure    < torch/torchtest       |
torch/optim         < torch/torchtest       |
torch/dist          < torch/nn torch/torchtest |
data                < data/datatest         | github.com/klauspost/compress golang.org/x/text # foreign files to read
data/predictions    < data/datatest         |
data/metadata       < data/image            |                               # the pixels stay
data/parquet        < data/record           | github.com/klauspost/compress # the names of columns; bombs
data/coco           < data                  |
models/encoder      < torch/torchtest       |
models/family       < torch/torchtest       |
models/clip         < torch/torchtest data/image weights/pickle |           # real weights on real photographs
models/blip         < torch/torchtest data/image weights/pickle |
models/batch        < torch/torchtest       |
models/train/draw   < torch/torchtest       |
models/bert         < torch/torchtest       |
weights/hub         < weights/hub/hubtest   | # a hub to fetch from
models/git          < torch/torchtest       |
models/kvcache      < torch/torchtest torch/standin       | # the kernel beside plain products
models/florence2    < torch/torchtest       |
models/clipcap      < torch/torchtest       |
models/coca         < torch/torchtest       |
models/clipdecoder10 < torch/torchtest      |
models/checkpoint   < torch/torchtest models/captioner/demo |
models/vit          < torch/torchtest data/image |
models/siglip       < torch/torchtest data/image |
models/swin         < torch/torchtest       |
models/beit         < torch/torchtest       |
models/dinov2       < torch/torchtest data/image |
models/efficientnet < torch/torchtest data/image weights/pickle |
models/gpt2         < torch/torchtest torch/standin torch/optim data/tokenizer models/decode |
models/average      < models/captioner/demo |
models/captioner/demo <                     |                               # the built-in model file, as bytes
models/captioner    < torch/torchtest data/metrics |
models/train        < torch/torchtest torch/standin |
models/clipscore    < torch/torchtest       |
cli                 < torch/torchtest weights/hub/hubtest cli/cloud/cloudtest |
                                              github.com/rogpeppe/go-internal go.uber.org/goleak
                                              github.com/klauspost/compress
                     # transcripts of the command line
cli/cloud           < cli/cloud/cloudtest   |                               # a service to talk to
cli/server          <                       | github.com/chromedp go.uber.org/goleak
                     # the page in a real browser, where there is one
`

// forbidden are imports that fail wherever they stand, with the reason.
var forbidden = map[string]string{
	"github.com/sugarme/gotch": "its init makes folders and ends the process where it cannot; " +
		"captioner/torch has what it offers",
	"github.com/sugarme/gotch/ts": "100 kB of Go memory a tensor, leaks in place, loses errors between threads; " +
		"use captioner/torch",
	"github.com/sugarme/gotch/nn": "renames siblings, deadlocks in clipping, cannot save an optimizer; " +
		"use captioner/torch/nn",
	"github.com/sugarme/gotch/pickle": "reads flat state dicts only; use captioner/weights/pickle",
	"github.com/sugarme/gotch/dutil":  "use captioner/data",
	"github.com/sugarme/gotch/vision": "built on ts and nn; use captioner/models",
}

// pure are the rooms that must build without cgo, with all below them, for people and machines that have no libtorch.
var pure = []string{"data", "weights", "models/decode"}

// vague are names that say nothing about what a package is for.
var vague = []string{"util", "utils", "common", "helper", "helpers", "types", "core", "misc", "shared"}

// house is the top level: nothing else stands beside these in git.
var house = []string{"torch", "models", "data", "cli", "weights", "scripts", "examples", "go.mod", "go.sum", "Makefile",
	"README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "docs", "deps_test.go"}

// The sizes that no room outgrows.
const (
	maxColumns     = 120   // of a line; a tab counts as one
	maxMethods     = 20    // of a type
	maxPackage     = 3_100 // lines of a package without its tests
	maxFilesOfRoot = 20    // Go files in cli itself, without tests
)

// manyMethods are types that have more methods for good, with the reason.
var manyMethods = map[string]string{
	"torch.Tensor": "every operation on a tensor is a method",
}

// libtorchHeader finds what a cgo preamble would include to reach libtorch.
var libtorchHeader = regexp.MustCompile(`#\s*include\s*[<"](torch|ATen|c10|caffe2)/`)

const module = "captioner"

type rule struct{ rooms, outside []string }

// parseRules reads lines of the form of edges, each room once.
func parseRules(t *testing.T, text string) map[string]rule {
	t.Helper()
	var lines []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		switch {
		case strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, " ") && len(lines) > 0:
			lines[len(lines)-1] += " " + line
		default:
			lines = append(lines, line)
		}
	}
	rules := make(map[string]rule)
	for _, line := range lines {
		room, rest, ok := strings.Cut(line, "<")
		rooms, outside, ok2 := strings.Cut(rest, "|")
		room = strings.TrimSpace(room)
		if _, twice := rules[room]; !ok || !ok2 || twice {
			t.Fatalf("line %q: want each room once, as: room < rooms | outside # why", line)
		}
		rules[room] = rule{strings.Fields(rooms), strings.Fields(outside)}
	}
	return rules
}

// reach returns the rooms that may be imported by one that names these: they and whatever they may import.
func reach(rules map[string]rule, rooms []string) []string {
	var all []string
	for todo := slices.Clone(rooms); len(todo) > 0; todo = todo[1:] {
		if !slices.Contains(all, todo[0]) {
			all = append(all, todo[0])
			todo = append(todo, rules[todo[0]].rooms...)
		}
	}
	return all
}

// sourceFile is a Go file of the repository, whatever its build tags are.
type sourceFile struct {
	path string // from the root, with slashes
	room string // its folder
	test bool
	src  []byte
	ast  *ast.File
	fset *token.FileSet
}

func (f sourceFile) imports() []string {
	var paths []string
	for _, i := range f.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

// sources parses every Go file: go list would leave out those of other build tags.
func sources(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(p, "go.mod"))
			unseen := name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
			if p != "." && (err == nil || unseen) {
				return fs.SkipDir // another module, or what the go command does not look at
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, src, parser.ParseComments)
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		test := strings.HasSuffix(name, "_test.go")
		files = append(files, sourceFile{path: p, room: path.Dir(p), test: test, src: src, ast: f, fset: fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func standard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return imp != "C" && first != module && !strings.Contains(first, ".")
}

// within says whether a path is one of these or below one of them.
func within(p string, roots []string) bool {
	return slices.ContainsFunc(roots, func(r string) bool { return p == r || strings.HasPrefix(p, r+"/") })
}

func TestEdges(t *testing.T) {
	rules, extra := parseRules(t, edges), parseRules(t, testEdges)
	for room, r := range rules {
		for _, to := range r.rooms {
			if _, ok := rules[to]; !ok {
				t.Errorf("edges: %s names %s, which has no line of its own", room, to)
			}
			if slices.Contains(reach(rules, []string{to}), room) {
				t.Errorf("edges: %s and %s may import each other", room, to)
			}
		}
	}
	for _, f := range sources(t) {
		if f.room == "." {
			continue
		}
		r, ok := rules[f.room]
		if !ok {
			t.Errorf("%s: the room %q is not in edges: add a line with what it may import and what it is for",
				f.path, f.room)
			continue
		}
		rooms, outside := reach(rules, slices.Concat(r.rooms, rules["*"].rooms)), r.outside
		if f.test {
			rooms = append(rooms, f.room)
			rooms = append(rooms, reach(rules, slices.Concat(extra["*"].rooms, extra[f.room].rooms))...)
			outside = slices.Concat(outside, extra["*"].outside, extra[f.room].outside)
		}
		for _, imp := range f.imports() {
			to, ours := strings.CutPrefix(imp, module+"/")
			switch why := forbidden[imp]; {
			case why != "":
				t.Errorf("%s imports %s: %s", f.path, imp, why)
			case standard(imp), ours && slices.Contains(rooms, to), !ours && within(imp, outside):
			case ours:
				t.Errorf("%s imports %s: %s may import only [%s]", f.path, imp, f.room, strings.Join(rooms, " "))
			case strings.Contains(imp, "gotch"):
				t.Errorf("%s imports %s: only torch/ may see libtorch", f.path, imp)
			default:
				t.Errorf("%s imports %s: %s may import from outside only [%s]",
					f.path, imp, f.room, strings.Join(outside, " "))
			}
			if imp == "C" && !strings.HasPrefix(f.room+"/", "torch/") && libtorchHeader.Match(f.src) {
				t.Errorf("%s names a header of libtorch: only torch/ may see libtorch", f.path)
			}
		}
	}
}

// TestPureRooms asks the go command what the pure rooms pull in where there is no cgo.
func TestPureRooms(t *testing.T) {
	var patterns []string
	for _, f := range sources(t) {
		if !slices.Contains(patterns, "./"+f.room) && within(f.room, pure) {
			patterns = append(patterns, "./"+f.room)
		}
	}
	if len(patterns) == 0 {
		t.Fatalf("none of the pure rooms %q is there", pure)
	}
	fields := "-json=ImportPath,CgoFiles,GoFiles,Error,DepsErrors,Standard"
	cmd := exec.Command("go", append([]string{"list", "-e", "-deps", "-test", fields}, patterns...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath        string
			Standard          bool
			GoFiles, CgoFiles []string
			Error             *struct{ Err string }
			DepsErrors        []struct{ Err string }
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.DepsErrors {
			t.Errorf("without cgo, %s: %s", p.ImportPath, e.Err)
		}
		switch {
		case p.Error != nil:
			t.Errorf("without cgo, %s: %s", p.ImportPath, p.Error.Err)
		case len(p.CgoFiles) > 0 && !p.Standard:
			t.Errorf("without cgo, %s still has cgo files %q", p.ImportPath, p.CgoFiles)
		case strings.Contains(p.ImportPath, "gotch"), p.ImportPath == module+"/torch":
			t.Errorf("a pure room depends on %s, which is libtorch", p.ImportPath)
		}
	}
}

func TestPackageComments(t *testing.T) {
	type pkg struct{ documented, files []string }
	packages := make(map[string]*pkg)
	for _, f := range sources(t) {
		name := f.ast.Name.Name
		if slices.Contains(vague, name) || slices.Contains(vague, path.Base(f.room)) {
			t.Errorf("%s: package %s: a name that says nothing about what it is for", f.path, name)
		}
		if f.test {
			continue
		}
		p := packages[f.room]
		if p == nil {
			p = new(pkg)
			packages[f.room] = p
		}
		p.files = append(p.files, f.path)
		if f.ast.Doc != nil {
			p.documented = append(p.documented, f.path)
			if doc := f.ast.Doc.Text(); name != "main" && !strings.HasPrefix(doc, "Package "+name+" ") {
				t.Errorf("%s: the package comment begins with %.30q, want \"Package %s \"", f.path, doc, name)
			}
		}
	}
	for room, p := range packages {
		if len(p.documented) != 1 {
			t.Errorf("%s: package comments in %q, want exactly one in %q", room, p.documented, p.files)
		}
	}
}

// TestHabits holds what no file may do: be unformatted, leave a note for later, work in init, print or exit from a
// library.
func TestHabits(t *testing.T) {
	note := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	for _, f := range sources(t) {
		if got, err := format.Source(f.src); err != nil || !bytes.Equal(got, f.src) {
			t.Errorf("%s is not formatted: run make fmt (%v)", f.path, err)
		}
		for _, c := range f.ast.Comments {
			if n := note.FindString(c.Text()); n != "" {
				t.Errorf("%s: a comment says %s: do it or leave it", f.fset.Position(c.Pos()), n)
			}
		}
		if f.test || f.room == "cli/captioner" || strings.HasPrefix(f.room, "scripts/") { // programs of their own
			continue
		}
		for _, bad := range bannedUses(f) {
			t.Error(bad)
		}
	}
}

func bannedUses(f sourceFile) []string {
	var bad []string
	report := func(n ast.Node, format string, args ...any) {
		bad = append(bad, f.fset.Position(n.Pos()).String()+": "+fmt.Sprintf(format, args...))
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				report(n, "func init: work at import time surprises who imports it")
			}
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, _ := sel.X.(*ast.Ident)
			if x == nil || x.Obj != nil { // a variable that is named like a package
				return true
			}
			call := x.Name + "." + sel.Sel.Name
			switch {
			case call == "os.Exit", strings.HasPrefix(call, "log.Fatal"), strings.HasPrefix(call, "log.Panic"):
				report(n, "%s: only main ends the process; return an error", call)
			case call == "fmt.Print", call == "fmt.Printf", call == "fmt.Println":
				report(n, "%s: a library never prints; take an io.Writer", call)
			}
		}
		return true
	})
	return bad
}

func TestHouse(t *testing.T) {
	out, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("not a git clone: %v", err)
	}
	const limit = 25 << 20 // the demo model is the largest file
	seen := make(map[string]bool)
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		first, _, _ := strings.Cut(name, "/")
		if !seen[first] && !strings.HasPrefix(first, ".") && !slices.Contains(house, first) {
			t.Errorf("%s stands at the top level, want only %q and dotfiles", first, house)
		}
		seen[first] = true
		if info, err := os.Stat(name); err == nil && info.Size() > limit {
			t.Errorf("%s has %d bytes, want at most %d", name, info.Size(), limit)
		}
	}
}

// TestTorchIsBuiltOnce holds that torch has no test in its own package: such a test makes another variant of the
// package, for which vet and test compile all its C++ again.
func TestTorchIsBuiltOnce(t *testing.T) {
	for _, f := range sources(t) {
		if f.test && f.room == "torch" && !strings.HasSuffix(f.ast.Name.Name, "_test") {
			t.Errorf("%s: package %s, want %[2]s_test", f.path, f.ast.Name.Name)
		}
	}
}

// TestSizes holds that lines fit a window, types a page, and packages a head.
func TestSizes(t *testing.T) {
	wide, lines, methods := make(map[string][]string), make(map[string]int), make(map[string]int)
	rootFiles := 0
	for _, f := range sources(t) {
		n := 0
		for line := range strings.Lines(string(f.src)) {
			n++
			if columns := utf8.RuneCountInString(strings.TrimRight(line, "\n")); columns > maxColumns {
				wide[f.room] = append(wide[f.room], fmt.Sprintf("%s:%d: %d columns", f.path, n, columns))
			}
		}
		if f.test {
			continue
		}
		lines[f.room] += n
		if f.room == "cli" {
			rootFiles++
		}
		for _, d := range f.ast.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Recv != nil {
				methods[f.room+"."+receiver(d)]++
			}
		}
	}

	for _, places := range wide {
		t.Errorf("want at most %d columns:\n%s", maxColumns, strings.Join(places, "\n"))
	}
	for room, n := range lines {
		if n > maxPackage && room != "torch" {
			t.Errorf("%s has %d lines without tests, want at most %d", room, n, maxPackage)
		}
	}
	for name, n := range methods {
		if n > maxMethods && manyMethods[name] == "" {
			t.Errorf("%s has %d methods, want at most %d", name, n, maxMethods)
		}
	}
	if rootFiles > maxFilesOfRoot {
		t.Errorf("cli has %d Go files without tests, want at most %d: its rooms take the rest", rootFiles, maxFilesOfRoot)
	}
}

// receiver is the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) string {
	x := d.Recv.List[0].Type
	for {
		switch y := x.(type) {
		case *ast.StarExpr:
			x = y.X
		case *ast.IndexExpr:
			x = y.X
		case *ast.IndexListExpr:
			x = y.X
		case *ast.Ident:
			return y.Name
		default:
			return ""
		}
	}
}
