package cli

import (
	"archive/zip"
	"context"
	"image/color"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"captioner/weights/hub/hubtest"
)

// notRun says which commands of the pages only a flag check sees, and why.
var notRun = []struct{ part, reason string }{
	{"https://", "needs a network"},
	{"curl ", "needs a network"},
	{"s3://", "needs a service; cloud.txt among the scripts has one"},
	{"file:///data", "needs that folder"},
	{"--tags", "needs a CLIP; TestTags has one"},
	{"weights list", "reads what this machine has in its caches"},
	{"weights fetch", "needs a network"},
	{"model.pt", "needs a checkpoint"},
	{"mine.safetensors", "needs a model that was trained"},
	{"best.safetensors", "needs a model that was trained"},
	{"WEIGHTS/", "needs weights of full size"},
	{"captioner train", "trains for minutes"},
	{"captioner serve", "runs until it is stopped; the clients in docs/serving.md have a test of their own"},
	{"eval --data", "needs references for what the fake model says"},
	{"git clone", "is the clone"},
	{"linux-amd64/", "needs a package; scripts/dist/try has one"},
	{"predict examples/", "has a test of its own, with the built-in model"},
	{"../shared", "needs shared data"},
}

// TestDocsRun runs the commands of the pages in a folder that has the files that they name, with a fake model.
func TestDocsRun(t *testing.T) {
	for _, tool := range []string{"sh", "find"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("no " + tool + " here")
		}
	}
	ran, hub := 0, docsHub(t)
	for _, p := range pages(t) {
		dir := docsFolder(t) // in which a page's commands build on each other
		for _, block := range codeBlock.FindAllStringSubmatch(p.text, -1) {
			if block[1] != "console" {
				continue
			}
			for line := range strings.Lines(block[2]) {
				command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
				if !ok || !strings.Contains(command, "bin/captioner ") || reasonNotToRun(command) != "" {
					continue
				}
				ran++
				t.Run(p.path+": "+command, func(t *testing.T) { runInFolder(t, dir, hub, command) })
			}
		}
	}
	if ran < 10 {
		t.Errorf("ran %d commands, want at least 10", ran)
	}
}

func reasonNotToRun(command string) string {
	for _, n := range notRun {
		if strings.Contains(command, n.part) {
			return n.reason
		}
	}
	return ""
}

func runInFolder(t *testing.T, dir, hub, command string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	c := exec.CommandContext(ctx, "sh", "-c", strings.ReplaceAll(command, "{000..127}", "{000..001}"))
	c.Dir = dir
	c.Env = append(os.Environ(), "CAPTIONER_TEST_PROCESS=1", "HOME="+dir, "HF_HOME="+dir+"/hf", "HF_ENDPOINT="+hub)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// docsHub is the address of a stand-in of the Hugging Face hub, with tiny models under the names of the pages.
func docsHub(t *testing.T) string {
	t.Helper()
	h := hubtest.New()
	t.Cleanup(h.Close)
	for name, folder := range map[string]string{
		"Salesforce/blip-image-captioning-base": "blip", "microsoft/git-base-coco": "git",
	} {
		if _, err := h.PushFolder(name, filepath.Join("../models/captioner/testdata/families", folder)); err != nil {
			t.Fatal(err)
		}
	}
	return h.URL
}

// docsFolder has a bin/captioner with a fake model, and what the commands of the pages name.
func docsFolder(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"bin", "holiday/beach", "scans/old", "shards", "photos"} {
		check(os.MkdirAll(filepath.Join(dir, sub), 0o777))
	}
	check(os.Symlink(self, filepath.Join(dir, "bin/captioner")))
	red := color.RGBA{255, 0, 0, 255}
	for _, name := range []string{
		"photo.jpg", "holiday/1.jpg", "holiday/beach/2.jpg", "scans/old/3.png",
		"photos/4.jpg", "photos/5.jpg", "photos/6.jpg",
	} {
		check(writePicture(filepath.Join(dir, name), red))
	}
	photo := read(t, filepath.Join(dir, "photo.jpg"))
	for _, name := range []string{"shards/000.tar", "shards/001.tar"} {
		f, err := os.Create(filepath.Join(dir, name))
		check(err)
		writeTar(t, f, "one.jpg", photo)
		check(f.Close())
	}
	check(docsZip(filepath.Join(dir, "old.zip"), filepath.Join(dir, "photo.jpg")))
	const references = `{"images":[{"id":4,"file_name":"photos/4.jpg"},{"id":5,"file_name":"photos/5.jpg"}],` +
		`"annotations":[{"id":1,"image_id":4,"caption":"a red square"},` +
		`{"id":2,"image_id":5,"caption":"a red picture on a wall"}]}`
	check(os.WriteFile(filepath.Join(dir, "captions_val2017.json"), []byte(references), 0o666))
	for name, caption := range map[string]string{"captions.json": "a red picture", "older.json": "a wall"} {
		text := `[{"image_id":4,"caption":"` + caption + `"},{"image_id":5,"caption":"` + caption + `"}]`
		check(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666))
	}
	for _, name := range []string{"c-1-of-8.jsonl", "c-3-of-8.jsonl", "c-4-of-8.jsonl", "c-5-of-8.jsonl", "c-6-of-8.jsonl",
		"c-7-of-8.jsonl", "c-8-of-8.jsonl"} { // what the other seven machines of the page wrote
		check(os.WriteFile(filepath.Join(dir, name), nil, 0o666))
	}
	return dir
}

func docsZip(path, file string) error {
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := zip.NewWriter(f)
	one, err := w.Create("one.jpg")
	if err != nil {
		return err
	}
	if _, err := io.Copy(one, from); err != nil {
		return err
	}
	return w.Close()
}
