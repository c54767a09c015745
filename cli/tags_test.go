package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ran runs a command with the fake model.
func ran(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	inProcessLock.Lock()
	defer inProcessLock.Unlock()
	var out, log bytes.Buffer
	p := newProgram(strings.NewReader(""), &out, &log)
	p.load = openFake
	if got := p.run(context.Background(), append([]string{"captioner"}, args...)); got != want {
		t.Fatalf("%q: exit code %d, want %d: %s", args, got, want, log.String())
	}
	return out.String(), log.String()
}

// TestTags ranks tags by a small CLIP, whose vectors the reference made: the tags are captions without the prompt that
// they had, so that numbers are held to each other and not to the reference.
func TestTags(t *testing.T) {
	dir := t.TempDir()
	clipFixture(t, dir)
	file := func(name string) string { return filepath.Join(dir, name) }
	list := "dog\n\n  wooden   table \ndog\nsky\n"
	if err := os.WriteFile(file("tags.txt"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	heads := "--heads=text=1"
	base := []string{"predict", "--tags", file("tags.txt"), "--clip", file("clip.safetensors"), heads,
		"--tag-threshold", "-1", "--device", "cpu"}
	stdout, _ := ran(t, 0, append(base, "--json", file("0.png"), file("1.png"))...)
	type line struct {
		Tags []struct {
			Tag        string
			Similarity float64
		}
	}
	var first line
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || len(lines) != 2 || len(first.Tags) != 3 {
		t.Fatalf("%v in %s", err, stdout)
	}
	var names []string
	for i, tag := range first.Tags {
		if names = append(names, tag.Tag); i > 0 && tag.Similarity > first.Tags[i-1].Similarity ||
			math.Abs(tag.Similarity) > 1 {
			t.Errorf("not in order: %s", lines[0])
		}
	}
	best := names[0]
	slices.Sort(names)
	if strings.Join(names, ",") != "dog,sky,wooden table" {
		t.Errorf("tags %q", names)
	}

	// every format has them, and the limits hold
	for format, want := range map[string]string{"csv": ",tags\n", "tsv": "\ttags\n", "coco": `"tags":[{"tag":"` + best} {
		if stdout, _ := ran(t, 0, append(base, "--format", format, file("0.png"))...); !strings.Contains(stdout, want) {
			t.Errorf("%s: %s", format, stdout)
		}
	}
	stdout, _ = ran(t, 0, append(base, "--max-tags", "1", "--template", "{tags}", file("0.png"))...)
	if stdout != best+"\n" {
		t.Errorf("template: %q, want %q", stdout, best)
	}
	stdout, _ = ran(t, 0, append(base, "--tag-threshold", "1", "--format", "jsonl", file("0.png"))...)
	if strings.Contains(stdout, "tags") {
		t.Errorf("above the threshold: %s", stdout)
	}
	ran(t, 0, append(base, "-q", "--sidecar", ".xmp", file("0.png"))...)
	if b, err := os.ReadFile(file("0.xmp")); err != nil || !strings.Contains(string(b), "<rdf:li>wooden table</rdf:li>") {
		t.Errorf("XMP: %s, %v", b, err)
	}
	ran(t, 0, append(base, "-q", "--out", file("t.parquet"), file("0.png"))...)
	ran(t, 0, "merge", "--out", file("t.jsonl"), "--format", "parquet", file("t.parquet"))
	if b, err := os.ReadFile(file("t.jsonl")); err != nil || !strings.Contains(string(b), `"tags":[{"tag":"`+best) {
		t.Errorf("Parquet: %s, %v", b, err)
	}
}

// TestTagThreshold calibrates on the fixture's captions.
func TestTagThreshold(t *testing.T) {
	dir := t.TempDir()
	src := clipFixture(t, dir)
	file := func(name string) string { return filepath.Join(dir, name) }
	var references [][]string
	if err := json.Unmarshal([]byte(src.Metadata()["references"]), &references); err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(references[0][0])
	if err := os.WriteFile(file("tags.txt"), []byte(strings.Join(words, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"eval", "--data", file("refs.json"), "--images", dir, "--tags", file("tags.txt"), "--clip",
		file("clip.safetensors"), "--heads=text=1", "--device", "cpu"}
	stdout, _ := ran(t, 0, append(args, "--json")...)
	var got struct {
		Threshold, Precision, Recall, F1 float64
		Images                           int
		True                             int `json:"true_pairs"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Images != len(references) || got.True == 0 ||
		got.F1 <= 0 || got.F1 > 1 {
		t.Errorf("%v in %s", err, stdout)
	}
	if stdout, _ := ran(t, 0, args...); !strings.HasPrefix(stdout, "--tag-threshold ") {
		t.Errorf("text: %s", stdout)
	}
	for want, args := range map[string][]string{
		"the model has no text tower": {"predict", "--tags", file("tags.txt"), file("0.png")},
		"--clip needs --tags":         {"predict", "--clip", "ViT-B/32", file("0.png")},
		"--max-tags 0: want 1":        {"predict", "--tags", file("tags.txt"), "--max-tags", "0", file("0.png")},
		"--tags wants --data":         {"eval", "--tags", "x", "--predictions", "p.json", "--references", "r.json"},
	} {
		if _, stderr := ran(t, 2, args...); !strings.Contains(stderr, want) {
			t.Errorf("%q: got %q, want %q", args, stderr, want)
		}
	}
}
