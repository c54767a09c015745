package inspect

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/published"
	"captioner/models/captioner"
	"captioner/models/checkpoint"
	"captioner/models/encoder"
	"captioner/weights"
	"captioner/weights/plural"
	"captioner/weights/store"
)

// verification goes on to the next check where one has failed, as far as that makes sense.
type verification struct {
	con    *console.Console
	name   string // as the user gave it
	path   string // "" is the built-in model
	known  *checkpoint.Architectures
	broken bool
	err    error // of writing to standard output
}

// Verify prints whether a file of weights is whole and fits; broken ones end in console.ErrReported.
func Verify(ctx context.Context, con *console.Console, name string, heads flags.Heads) error {
	known, err := heads.Architectures()
	if err != nil {
		return err
	}
	path, err := published.Here(con, name)
	if err != nil {
		return err
	}
	v := &verification{con: con, name: name, path: path, known: known}
	src := v.structure()
	if src != nil {
		defer src.Close()
		v.manifest()
		v.numbers(ctx, src)
		v.model(ctx, meantAsModel(src))
	}
	if err := known.Heads.Unused(encoder.Parts...); err != nil && v.err == nil && !v.broken {
		return err
	}
	switch {
	case v.err != nil:
		return v.err
	case ctx.Err() != nil:
		return ctx.Err()
	case v.broken:
		return console.ErrReported
	}
	return nil
}

func (v *verification) tell(check, status, found, remedy string) {
	v.broken = v.broken || status == "broken"
	v.err = errors.Join(v.err, console.Tell(v.con,
		console.Finding{Check: check, Status: status, Found: found, Remedy: remedy}))
}

// structure opens the file, and reads what zip archives keep of the checksums of their entries.
func (v *verification) structure() weights.Source {
	src, format, err := OpenWeights(v.path)
	if err != nil {
		v.tell("structure", "broken", console.OneLine(err), console.HintOf(err))
		return nil
	}
	what := format
	if what == "pytorch" {
		entries, err := checkArchive(weightsFile(v.path))
		if err != nil {
			v.tell("structure", "broken", console.OneLine(err), "the file is damaged: fetch or copy it again")
			return src
		}
		what = "pytorch"
		if entries > 0 {
			what = fmt.Sprintf("pytorch, the CRC-32 of all %s is right", plural.Count(entries, "entry"))
		}
	}
	v.tell("structure", "ok", fmt.Sprintf("%s, %s", what, plural.Count(len(src.Names()), "tensor")), "")
	return src
}

// checkArchive reads all entries of a zip archive, which are checked while they are read. A file that is none has 0.
func checkArchive(path string) (int, error) {
	z, err := zip.OpenReader(path)
	if errors.Is(err, zip.ErrFormat) {
		return 0, nil
	}
	if err != nil {
		return 0, weights.Reason(err)
	}
	defer z.Close()
	for _, f := range z.File {
		r, err := f.Open()
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if err != nil {
			return 0, fmt.Errorf("entry %q of the archive: %w", f.Name, err)
		}
	}
	return len(z.File), nil
}

// manifest says whose file it is.
func (v *verification) manifest() {
	if v.path == "" {
		return
	}
	sum, err := weights.SHA256(weightsFile(v.path))
	if err != nil {
		v.tell("checksum", "broken", console.OneLine(err), "make the file readable")
		return
	}
	if e, file, ok := store.Identify(sum); ok {
		v.tell("checksum", "ok", fmt.Sprintf("SHA-256 %s: %s, as published (%s)", sum, e.Name, file), "")
		return
	}
	if e, want, ok := namesake(v.path); ok {
		v.tell("checksum", "broken", fmt.Sprintf("SHA-256 %s, want the %s of %s, whose name it has", sum, want, e.Name),
			"delete it and run \"captioner weights fetch "+e.Name+"\"; rename it if it is yours")
		return
	}
	v.tell("checksum", "ok", fmt.Sprintf("SHA-256 %s: no published file that captioner knows", sum), "")
}

// namesake finds the published file that a file has the name of.
func namesake(path string) (e store.Entry, sha256 string, ok bool) {
	for _, e := range store.Manifest() {
		for _, f := range e.Files {
			if f.SHA256 != "" && e.Repo == "" && filepath.Base(path) == f.Name {
				return e, f.SHA256, true
			}
		}
		for _, m := range e.Members {
			if filepath.Base(path) == m.To {
				return e, m.SHA256, true
			}
		}
	}
	return e, "", false
}

// numbers reads every tensor and counts what is not finite.
func (v *verification) numbers(ctx context.Context, src weights.Source) {
	var total, bad int64
	first := ""
	for _, name := range src.Names() {
		if ctx.Err() != nil {
			return
		}
		t, err := src.Tensor(name)
		if err != nil {
			v.tell("numbers", "broken", console.OneLine(err), "the file is damaged: fetch or copy it again")
			return
		}
		n, count := t.NotFinite()
		if total += count; n > 0 && bad == 0 {
			first = name
		}
		bad += n
	}
	if bad > 0 {
		v.tell("numbers", "broken", fmt.Sprintf("%d of %d are infinite or not a number, the first in %q", bad, total, first),
			"the training broke off or the type is too small: take an earlier checkpoint")
		return
	}
	v.tell("numbers", "ok", fmt.Sprintf("all %d are finite", total), "")
}

// meantAsModel says whether a file holds a captioner or what is left of one: a description, GPT-2's tokens, or the
// places of clip-text-decoder 1.0.0.
func meantAsModel(src weights.Source) bool {
	return src.Metadata()[weights.MetaConfig] != "" || slices.ContainsFunc(src.Names(), func(n string) bool {
		return strings.HasSuffix(n, "wte.weight") || strings.HasSuffix(n, "positional_encoding.encodings")
	})
}

// model loads the file as --model would, or as --encoder.
func (v *verification) model(ctx context.Context, meant bool) {
	f, err := OpenDescribed(v.path, v.known)
	if err != nil {
		v.encoder(err, meant)
		return
	}
	blind := !f.HasEncoder()
	vision, mismatch := f.Config.Encoder.Architecture, f.Mismatch()
	f.Close()
	if ctx.Err() != nil {
		return
	}
	c, err := captioner.Open(v.path, captioner.Options{Device: "cpu", NoEncoder: blind, Architectures: v.known})
	if err != nil {
		v.tell("model", "broken", console.OneLine(err), "\"captioner weights inspect "+v.name+"\" lists what the file holds")
		return
	}
	defer c.Close()
	v.tell("model", "ok", "a captioner; all its tensors have their place and shape", "")
	switch {
	case !blind:
		v.tell("encoder", "ok", vision+" is in the file and fits", "")
	case mismatch != nil:
		v.tell("encoder", "broken", "is not in the file, which names one that cannot be its own: "+console.OneLine(mismatch),
			"--encoder FILE gives the one that it was trained with")
	case vision == "":
		v.tell("encoder", "note", "is not in the file, which does not name it", "--encoder FILE gives it")
	default:
		v.tell("encoder", "note", vision+" is not in the file", "--encoder FILE gives it")
	}
}

func (v *verification) encoder(notModel error, meant bool) {
	e, err := v.known.OpenEncoder(v.path)
	var headless *encoder.HeadsUnknownError
	switch {
	case err == nil:
		defer e.Close()
		v.tell("model", "ok", "the encoder "+e.Config.Architecture+", for --encoder", "")
	case errors.As(notModel, &headless) || errors.As(err, &headless):
		v.tell("model", "broken", console.OneLine(headless), headless.Hint())
	case meant:
		v.tell("model", "broken", console.OneLine(notModel),
			"\"captioner weights inspect "+v.name+"\" lists what the file holds")
	default:
		v.tell("model", "note", "neither a captioner nor an encoder that captioner knows: "+console.OneLine(err),
			"\"captioner weights convert --to tensors\" converts it")
	}
}
