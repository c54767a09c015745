package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv("CAPTIONER_TEST_COMMAND") != "" {
		os.Args[0] = "captioner"
		main()
	}
	os.Exit(m.Run())
}

// What is printed to a standard output that is closed is lost, and the exit code says so.
func TestClosedStandardOutputFails(t *testing.T) {
	for _, tt := range []struct {
		name, redirect string
		code           int
		stderr         string
	}{
		{"open", ">/dev/null", 0, ""},
		{"open for both", "1<>/dev/null", 0, ""},
		{"closed", ">&-", 1, "write /dev/stdout: bad file descriptor"},
		{"closed like standard input", "<&- >&-", 1, "write /dev/stdout: bad file descriptor"},
		{"all closed", "<&- >&- 2>&-", 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", `exec "$0" version `+tt.redirect, os.Args[0])
			cmd.Env = append(os.Environ(), "CAPTIONER_TEST_COMMAND=1")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			code := 0
			var exit *exec.ExitError
			if err := cmd.Run(); errors.As(err, &exit) {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if code != tt.code || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("exit code %d and %q, want %d and %q", code, stderr.String(), tt.code, tt.stderr)
			}
		})
	}
}
