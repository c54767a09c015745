package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/cli/console"
)

// The parts of a run, merged, are the file of a run over everything, byte for byte.
func TestMergeIsTheWholeRun(t *testing.T) {
	dir := t.TempDir()
	names := []string{"red", "green", "blue", "white", "black"}
	for i := range 60 {
		file := filepath.Join(dir, fmt.Sprintf("%c/p%d.png", 'a'+i%3, i))
		os.MkdirAll(filepath.Dir(file), 0o755)
		if err := writePicture(file, colors[names[i%5]]); err != nil {
			t.Fatal(err)
		}
	}
	for _, odd := range []string{"a\nb.png", "c\td.png", `e\f.png`, "\xff.png", "p100.png", "p99.png"} {
		if err := writePicture(filepath.Join(dir, odd), colors["red"]); err != nil {
			t.Fatal(err)
		}
	}
	for _, ext := range []string{".txt", ".jsonl", ".csv", ".tsv", ".json", ".tar"} {
		out := t.TempDir()
		want, got := filepath.Join(out, "want"+ext), filepath.Join(out, "got"+ext)
		if code, _, msg := run(t, "", "predict", "-q", "--num-captions", "2", "--out", want, dir); code != console.ExitDone {
			t.Fatal(msg)
		}
		var parts []string
		for _, i := range []int{3, 1, 2} {
			if code, _, msg := run(t, "", "predict", "-q", "--num-captions", "2", "--shard", fmt.Sprintf("%d/3", i), "--out",
				filepath.Join(out, "p-{part}-of-{parts}"+ext), dir); code != console.ExitDone {
				t.Fatal(msg)
			}
			parts = append(parts, filepath.Join(out, fmt.Sprintf("p-%d-of-3%s", i, ext)))
		}
		code, _, msg := run(t, "", append([]string{"merge", "--out", got}, parts...)...)
		if code != console.ExitDone || !strings.Contains(msg, "66 images of 3 parts") {
			t.Fatalf("%s: exit code %d, %s", ext, code, msg)
		}
		// image_id has no folder to go by
		if ext != ".json" && read(t, got) != read(t, want) || len(read(t, got)) != len(read(t, want)) {
			t.Errorf("%s: got\n%s\nwant\n%s", ext, read(t, got), read(t, want))
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, two := file("p-1-of-3.jsonl", `{"path":"a"}`+"\n"), file("p-2-of-3.jsonl", `{"path":"b"}`+"\n")
	twice := file("q.jsonl", `{"path":"a"}`+"\n")
	half := file("half.jsonl", `{"path":"c"}`)
	going := file("going.jsonl", "")
	file("going.jsonl.part", "")
	for _, tc := range []struct {
		want string
		code int
		args []string
	}{
		{"nothing to merge", console.ExitUsage, nil},
		{"of 3 parts 3 is missing", console.ExitFailed, []string{one, two}},
		{"2 images of 2 parts", console.ExitDone, []string{"--allow-missing", one, two}},
		{"is the same file", console.ExitFailed, []string{one, one}},
		{"have a number in their names, and 1 have none", console.ExitUsage, []string{one, twice}},
		{`"a" is in`, console.ExitFailed, []string{twice, file("r.jsonl", `{"path":"a"}`+"\n"), "--out",
			filepath.Join(dir, "out.jsonl")}},
		{"the last line is not whole", console.ExitFailed, []string{half}},
		{"its run has not ended", console.ExitFailed, []string{going}},
		{"a file that is read", console.ExitUsage, []string{"--out", twice, twice}},
		{"is jsonl by its name", console.ExitUsage, []string{"--out", filepath.Join(dir, "x.csv"), twice}},
		{"line 1: it has no tab", console.ExitFailed, []string{file("x.txt", "no path\n")}},
		{"no such file", console.ExitFailed, []string{filepath.Join(dir, "nothing.jsonl")}},
	} {
		code, _, msg := run(t, "", append([]string{"merge"}, tc.args...)...)
		if code != tc.code || !strings.Contains(msg, tc.want) {
			t.Errorf("%v: exit code %d, want %d; got %s, want %s", tc.args, code, tc.code, msg, tc.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "out.jsonl")); err == nil {
		t.Error("a merge that failed left its output")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".captioner-*")); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}
