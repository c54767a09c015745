//go:build standin

package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The service captions on the GPU, and goes on with another model when it is told to load it again.
func TestServeSwapsItsModel(t *testing.T) {
	model := filepath.Join(t.TempDir(), "model.safetensors")
	copyFile(t, "../../models/captioner/demo/demo.safetensors", model)
	cmd := exec.Command(os.Args[0], "serve", "--listen", "127.0.0.1:0", "--device", "cuda:1", "--model", model,
		"--no-reload", "--log-format", "text")
	cmd.Env = append(os.Environ(), "CAPTIONER_TEST_COMMAND=1", "OMP_NUM_THREADS=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Signal(os.Interrupt)
	lines := bufio.NewScanner(stderr)
	until := func(what string) string {
		t.Helper()
		for lines.Scan() {
			if _, rest, ok := strings.Cut(lines.Text(), what); ok {
				return rest
			}
		}
		t.Fatalf("the service ended before it said %q", what)
		return ""
	}
	address := "http://" + strings.Fields(until("listening on http://"))[0]
	caption := func() string {
		t.Helper()
		f, err := os.Open(examples + "/dog.jpg")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := http.NewRequest("POST", address+"/v1/captions", f)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "image/jpeg")
		r.Header.Set("Accept", "text/plain")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("got %s, %v: %s", answer.Status, err, b)
		}
		return strings.TrimSpace(string(b))
	}
	want := strings.TrimSpace(works(t, nil, "predict", "-q", "--device", "cpu", "--template", "{caption}",
		examples+"/dog.jpg").stdout)
	if got := caption(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	cmd.Process.Signal(syscall.SIGHUP)
	until("model loaded again")
	if got := caption(); got != want {
		t.Errorf("after the model was loaded again: got %q, want %q", got, want)
	}
	go io.Copy(io.Discard, stderr)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}
