//go:build !standin

package torchtest

// UseStandIn does nothing without the build tag "standin".
func UseStandIn() {}
