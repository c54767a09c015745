package train

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/data"
	"captioner/models/checkpoint"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/train/features"
	"captioner/torch"
)

// randomEncoder loads the random encoder with a configuration that names it.
func randomEncoder(t *testing.T, dir string) (family.Config, *encoder.Runner) {
	t.Helper()
	p, err := checkpoint.OpenEncoder(encoderFile(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if _, err := p.Checksum(); err != nil {
		t.Fatal(err)
	}
	c := family.Config{Encoder: p.Config}
	if c.Memory, err = encoder.NewMemory(p.Config, "", 0); err != nil {
		t.Fatal(err)
	}
	var e *encoder.Runner
	err = torch.Do(context.Background(), func() (err error) {
		e, err = encoder.NewRunner(c.Encoder, c.Memory, p.Source(), torch.CPU, torch.Float32)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { torch.Do(context.Background(), func() error { e.Free(); return nil }) })
	return c, e
}

// The cache gives each image its features whatever set it comes in, names all that cannot be decoded, and mends
// itself.
func TestFeatureCache(t *testing.T) {
	dir := t.TempDir()
	c, e := randomEncoder(t, dir)
	d, err := data.Open(writeImages(t, dir, "train", 20), "")
	if err != nil {
		t.Fatal(err)
	}
	all, err := data.Collect(d.Source)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{4, 19} {
		if err := os.WriteFile(all[i].Path, []byte("no picture"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	encode := func(set []data.Example) (rows [][]byte, fresh int, bad []int) {
		t.Helper()
		f, no, err := features.Encode(context.Background(), e, c, set, features.Options{
			Cache: filepath.Join(dir, "cache"),
			Done: func(n int) {
				if n < 0 || n > len(set) {
					t.Errorf("told of %d of %d images", n, len(set))
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for i := range f.Len() {
			rows = append(rows, bytes.Clone(f.Row(i)))
		}
		for _, b := range no {
			if !strings.Contains(b.Err.Error(), "decode") || b.Path != set[b.Index].Path {
				t.Errorf("bad image %+v", b)
			}
			bad = append(bad, b.Index)
		}
		return rows, f.New, bad
	}
	want, fresh, bad := encode(all)
	if fresh != 18 || len(want) != 18 || !slices.Equal(bad, []int{4, 19}) {
		t.Fatalf("got %d rows, %d of them new, without %v; want 18, all new, without 4 and 19", len(want), fresh, bad)
	}
	part := []data.Example{all[7], all[2], all[7], all[4]}
	rows, fresh, bad := encode(part)
	if fresh != 0 || !slices.Equal(bad, []int{3}) ||
		!bytes.Equal(rows[0], want[6]) || !bytes.Equal(rows[1], want[2]) || !bytes.Equal(rows[2], want[6]) {
		t.Errorf("a part in another order: %d new, bad %v, or other features", fresh, bad)
	}
	folder, err := features.Dir(filepath.Join(dir, "cache"), c)
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(folder, "*.safetensors"))
	if len(files) != 1 {
		t.Fatalf("got the files %q, want one", files)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(files[0], b, 0o666); err != nil {
		t.Fatal(err)
	}
	if rows, fresh, _ := encode(all); fresh != 18 || !slices.EqualFunc(rows, want, bytes.Equal) {
		t.Errorf("after damage: %d new, want all of them, with the same features", fresh)
	}
}

// Images that cannot be decoded refuse a run before its first step, with a list of them all, and the folder can be
// taken again; SkipBad goes on.
func TestBadImages(t *testing.T) {
	dir := t.TempDir()
	o := smallRun(t, dir)
	o.Epochs, o.SCSTSteps, o.Text = 1, 0, nil
	for name, content := range map[string]string{
		"train/train-003.png": "no picture",
		"val/val-001.png":     "\x89PNG\r\n\x1a\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "train", "train-005.png")); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "run")
	refused := func(what string, names ...string) {
		t.Helper()
		err := Run(context.Background(), run, o, func(Event) {})
		var bad *BadImagesError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), what) || bad.Hint() == "" {
			t.Fatalf("got %v, want a refusal with %q", err, what)
		}
		b, _ := os.ReadFile(filepath.Join(run, badFile))
		for _, n := range names {
			if !strings.Contains(string(b), n) {
				t.Errorf("%s: got %q, want %s in it", badFile, b, n)
			}
		}
	}
	refused("1 missing image,", "train-005.png")
	o.SkipBad = true
	var notes []string
	if err := Run(context.Background(), run, o, func(e Event) { notes = append(notes, e.Note) }); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(filepath.Join(run, badFile))
	if n := bytes.Count(b, []byte("\n")); n != 3 {
		t.Errorf("%s has %d lines, want 3:\n%s", badFile, n, b)
	}
	if all := strings.Join(notes, "\n"); !strings.Contains(all, "2 images that cannot be decoded") {
		t.Errorf("notes %q do not count them", all)
	}
	f, err := checkpoint.Open(filepath.Join(run, bestFile))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Card.Data; got != "22 images with 44 captions" {
		t.Errorf("the card says %q, want 22 images", got)
	}
	f.Close()

	// The missing one is back, the others are still broken.
	o.SkipBad, run = false, filepath.Join(dir, "again")
	writeImages(t, filepath.Join(dir, "spare"), "train", 24)
	spare, missing := filepath.Join(dir, "spare", "train", "train-005.png"), filepath.Join(dir, "train", "train-005.png")
	if err := os.Rename(spare, missing); err != nil {
		t.Fatal(err)
	}
	refused("2 images that cannot be decoded", "train-003.png", "val-001.png")
	o.SkipBad = true
	if err := Run(context.Background(), run, o, func(Event) {}); err != nil {
		t.Fatal(err)
	}
}
