package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"captioner/data/image"
	"captioner/models/captioner"
	"captioner/models/decode"
)

func TestNatural(t *testing.T) {
	want := []string{"", "2", "10", "a", "a1", "a01", "a1b", "a2", "a10", "a10b2", "a10b10", "b", "p9.jpg", "p10.jpg", "p99999999999999999999999", "p100000000000000000000000"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, natural)
	slices.Sort(got[4:6]) // "a1" and "a01" are the same number
	slices.Sort(want[4:6])
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzNatural(f *testing.F) {
	f.Add("p2", "p10", "p010")
	f.Add("a1b", "a01", "a")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		sign := func(x, y string) int { n := natural(x, y); return min(max(n, -1), 1) }
		if sign(a, b) != -sign(b, a) || (sign(a, b) == 0) != (a == b) {
			t.Errorf("%q, %q: %d and %d", a, b, sign(a, b), sign(b, a))
		}
		if sign(a, b) < 0 && sign(b, c) < 0 && sign(a, c) >= 0 {
			t.Errorf("%q < %q < %q, but not %q < %q", a, b, c, a, c)
		}
	})
}

func TestArrange(t *testing.T) {
	app := newProgram(nil, nil, &bytes.Buffer{}).newApp()
	for _, tc := range []struct{ in, want string }{
		{"captioner", "captioner"},
		{"captioner predict a b", "captioner predict -- a b"},
		{"captioner predict a --beam 3 b", "captioner predict --beam 3 -- a b"},
		{"captioner predict a --beam=3 -q b", "captioner predict --beam=3 -q -- a b"},
		{"captioner predict a --length-penalty -1", "captioner predict --length-penalty -1 -- a"},
		{"captioner -q --model m predict a", "captioner predict -q --model m -- a"},
		{"captioner predict - -q", "captioner predict -q -- -"},
		{"captioner predict -q -- -a --beam", "captioner predict -q -- -a --beam"},
		{"captioner weights inspect a --json", "captioner weights inspect --json -- a"},
		{"captioner help weights", "captioner weights --help"},
		{"captioner predict predict", "captioner predict -- predict"},
		{"captioner --version", "captioner --version"},
	} {
		got, err := arrange(app, strings.Fields(tc.in))
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%s: got %q, %v, want %q", tc.in, got, err, tc.want)
		}
	}
	for in, want := range map[string]string{
		"captioner predict a --device":      "--device needs a value",
		"captioner -q weights":              `weights: which one of list, fetch, convert, inspect, average, verify?`,
		"captioner --data x predict a":      `unknown flag "--data"`,
		"captioner weights inspct":          `unknown command "weights inspct"`,
		"captioner predict --no-such-thing": `unknown flag "--no-such-thing"`,
	} {
		if _, err := arrange(app, strings.Fields(in)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"predict", "train", "version", "beam-size"}
	for in, want := range map[string]string{"predct": "predict", "pretict": "predict", "rpedict": "predict", "trian": "train", "beamsize": "beam-size", "xyz": "", "": ""} {
		if got := nearest(in, names); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestTemplate(t *testing.T) {
	c := captioner.Caption{Text: "a dog", LogProb: -1.25, Confidence: 0.75}
	for in, want := range map[string]string{
		"{caption}":                           "a dog",
		"{stem}|{name}|{dir}|{path}":          "x|x.jpg|d|d/x.jpg",
		`{{{caption}}}\t{logprob}\n\\{model}`: "{a dog}\t-1.25\n\\m",
		"plain {confidence}":                  "plain 0.75",
		"{uncertain}":                         "uncertain",
	} {
		tpl, err := parseTemplate(in)
		if got := tpl.render(&result{input: input{path: "d/x.jpg"}, least: 1}, "m", c); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"{", "}", "{caption", "{captions}", "{}", "{caption}}"} {
		if _, err := parseTemplate(in); exitCode(err) != exitUsage {
			t.Errorf("%s: got %v, want a usage error", in, err)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{caption}", `{{x}} \n`, "{", `\`, "{path}{dir}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tpl, err := parseTemplate(s)
		if err == nil && !strings.ContainsAny(s, `{}\`) && tpl.render(&result{}, "m", captioner.Caption{}) != s {
			t.Errorf("%q does not stay as it is", s)
		}
	})
}

func TestShardsAreDisjointAndComplete(t *testing.T) {
	counts := make([]int, 4)
	for i := range 4000 {
		in := 0
		for part := range uint64(4) {
			if (shard{index: part, of: 4}).holds(fmt.Sprintf("folder/%d.jpg", i)) {
				in++
				counts[part]++
			}
		}
		if in != 1 {
			t.Fatalf("picture %d is in %d parts", i, in)
		}
	}
	if slices.Min(counts) < 850 {
		t.Errorf("parts of %v, want about 1000 each", counts)
	}
	for _, s := range []string{"0/2", "3/2", "1", "1/2/3", "a/b", "1/2x", "-1/2"} {
		if _, err := parseShard(s, os.Getenv); exitCode(err) != exitUsage {
			t.Errorf("%q: got %v, want a usage error", s, err)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {errors.New("x"), 1}, {usagef("", "x"), 2}, {errors.Join(errors.New("x"), usagef("", "x")), 2}, {errSome, 3},
		{errInterrupted, 130}, {fmt.Errorf("x: %w", context.Canceled), 130}, {&os.PathError{Err: syscall.EPIPE}, 0}, {&os.PathError{Err: syscall.ENOSPC}, 1},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("%v: got %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestImageID(t *testing.T) {
	for path, want := range map[string]any{"a/COCO_val2014_000000391895.jpg": int64(391895), "000000000139.jpg": int64(139), "x/dog.jpg": "dog", "7": int64(7)} {
		if got := imageID(path); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

// counting is a model that watches how much the pipeline holds at once.
type counting struct {
	fake
	prepared, captioned, most atomic.Int64
	batches                   []int
	fail                      error
}

func (c *counting) Prepare(m *image.RGB) *image.RGB {
	n := c.prepared.Add(1) - c.captioned.Load()
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	return c.fake.Prepare(m)
}

func (c *counting) Caption(ctx context.Context, images []*image.RGB, o decode.Options) ([]captioner.Caption, error) {
	c.batches = append(c.batches, len(images))
	c.captioned.Add(int64(len(images)))
	if c.fail != nil {
		return nil, c.fail
	}
	return c.fake.Caption(ctx, images, o)
}

func TestPipelineKeepsOrderAndIsBounded(t *testing.T) {
	dir := pictures(t, 5)
	const n = 2000
	for _, tc := range []struct{ workers, batch int }{{1, 1}, {4, 7}, {8, 64}} {
		c := &counting{}
		p := pipeline{model: c, options: decode.DefaultOptions(), image: image.DefaultOptions(), workers: tc.workers, batch: tc.batch, patient: time.Minute}
		var got []string
		err := p.run(t.Context(), func(yield func(input) bool) {
			for i := range n {
				in := input{path: filepath.Join(dir, fmt.Sprintf("%d.png", i%6)), key: fmt.Sprint(i)} // each sixth is missing
				if !yield(in) {
					return
				}
			}
		}, func(rs []*result) error {
			for _, r := range rs {
				got = append(got, r.key+r.caption.Text)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != n {
			t.Fatalf("%d results, want %d", len(got), n)
		}
		for i, s := range got {
			want := fmt.Sprint(i)
			if i%6 < 5 {
				want += "a " + []string{"red", "green", "blue", "white", "black"}[i%6] + " picture"
			}
			if s != want {
				t.Fatalf("result %d: got %q, want %q", i, s, want)
			}
		}
		if limit := int64(2*tc.workers + 6*tc.batch); c.most.Load() > limit {
			t.Errorf("%d pictures were held at once with %d workers and batches of %d, want at most %d", c.most.Load(), tc.workers, tc.batch, limit)
		}
		if slices.Max(c.batches) > tc.batch {
			t.Errorf("a batch of %d, want at most %d", slices.Max(c.batches), tc.batch)
		}
	}
}

func TestPipelineStops(t *testing.T) {
	dir := pictures(t, 1)
	endless := func(yield func(input) bool) {
		for yield(input{path: filepath.Join(dir, "0.png")}) {
		}
	}
	broken := errors.New("broken")
	run := func(ctx context.Context, c *counting, sink func([]*result) error) error {
		p := pipeline{model: c, options: decode.DefaultOptions(), workers: 2, batch: 3, patient: time.Minute}
		return p.run(ctx, endless, sink)
	}
	if err := run(t.Context(), &counting{fail: broken}, func([]*result) error { return nil }); err != broken {
		t.Errorf("a model that fails: got %v, want %v", err, broken)
	}
	if err := run(t.Context(), &counting{}, func([]*result) error { return broken }); err != broken {
		t.Errorf("a sink that fails: got %v, want %v", err, broken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := run(ctx, &counting{}, func(r []*result) error { n += len(r); cancel(); return nil })
	if err != errInterrupted || n == 0 || n%3 != 0 {
		t.Errorf("a run that is interrupted: got %v and %d results, want %v and whole batches", err, n, errInterrupted)
	}
}

func TestFormatsRoundTripOddNames(t *testing.T) {
	r := &result{input: input{path: "a,\"b\"\n\t\\c.jpg"}, caption: captioner.Caption{Text: "x, \"y\""}}
	var got bytes.Buffer
	for _, name := range formats[:5] { // the sixth holds pictures
		f := newFormat(name, style{model: "m"})
		if err := errors.Join(f.begin(&got), f.write(&got, r), f.end(&got)); err != nil {
			t.Fatal(err)
		}
	}
	want := "a,\"b\"\\n\\t\\\\c.jpg\tx, \"y\"\n" +
		`{"path":"a,\"b\"\n\t\\c.jpg","caption":"x, \"y\"","logprob":0,"confidence":0,"model":"m"}` + "\n" +
		"path,caption,logprob,confidence\n\"a,\"\"b\"\"\n\t\\c.jpg\",\"x, \"\"y\"\"\",0,0\n" +
		"path\tcaption\tlogprob\tconfidence\na,\"b\"\\n\\t\\\\c.jpg\tx, \"y\"\t0\t0\n" +
		"[\n" + `{"image_id":"a,\"b\"\n\t\\c","caption":"x, \"y\""}` + "\n]\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestProgressLines(t *testing.T) {
	var w bytes.Buffer
	p := newProgress(newTerminal(&w, func(string) string { return "" }), "pictures")
	p.every = 0
	p.expect(10)
	p.add(4, 1)
	if got := w.String(); !strings.HasPrefix(got, "5 of 10 pictures, ") || !strings.HasSuffix(got, ", 1 failed\n") {
		t.Errorf("got %q", got)
	}
}

func TestTerminalColoursOnlyTerminals(t *testing.T) {
	var w bytes.Buffer
	term := newTerminal(&w, func(string) string { return "" })
	term.fail(withHint(errors.New("one\ntwo\x1b[2J"), "do this"))
	if got, want := w.String(), "error: one; two\\x1b[2J\nhint: do this\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What libtorch says of its own stack has no place in a message.
func TestOneLine(t *testing.T) {
	const want = "to [3 4]: can't allocate memory: you tried to allocate 96 bytes. Error code 12 (Cannot allocate memory)"
	if got := oneLine(errors.New(want + " frame #0: c10::Throw + 0x6a (0x7f)\nframe #1: main")); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := oneLine(errors.Join(errors.New("one"), errors.New("two"))), "one; two"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
