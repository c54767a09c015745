//go:build standin

package torchtest

import "captioner/torch/standin"

// UseStandIn puts the stand-in in CUDA's place: "auto" then leads to it. A TestMain calls it.
func UseStandIn() { standin.Install() }
