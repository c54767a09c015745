package checkpoint

import (
	"os"
	"path/filepath"
	"testing"

	"captioner/models/captioner/demo"
	"captioner/torch/torchtest"
)

func TestMain(m *testing.M) { torchtest.OneThread(m) }

// pythonDir holds tiny checkpoints of clip-text-decoder and its kin, firstDir those of version 1.0.0.
const (
	pythonDir = "../captioner/testdata/python"
	firstDir  = "../captioner/testdata/first"
)

// demoPath is a file of the built-in model.
func demoPath(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo.safetensors")
	if err := os.WriteFile(path, demo.Model, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}
