//go:build !standin

// Command captioner trains image captioners and captions images.
package main

import (
	"context"
	"os"

	"captioner/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}
