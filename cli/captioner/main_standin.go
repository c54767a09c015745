//go:build standin

package main

import (
	"context"
	"fmt"
	"os"

	"captioner/cli"
	"captioner/torch/standin"
)

// main, for tests: the GPUs are those of torch/standin.
func main() {
	standin.Install()
	code := cli.Main(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr)
	if err := standin.Report(); err != nil {
		fmt.Fprintln(os.Stderr, "stand-in:", err)
	}
	os.Exit(code)
}
