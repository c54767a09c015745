package cli

import (
	"os"
	"os/exec"
	"testing"
)

// The short form of scripts/torture, with the fake model: real photographs, real files and processes.
func TestTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	cmd := exec.CommandContext(t.Context(), bash, "../scripts/torture", "--short")
	cmd.Env = append(os.Environ(), "CAPTIONER="+self, "CAPTIONER_TEST_PROCESS=1", "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
