// Package demo holds the captioner that is built into the program: a small model that `captioner train` made (`make
// train-demo`). Its card, in the file's metadata, says on what data, by what command, and what it scores.
package demo

import _ "embed"

// Model is the model file. It must not be changed.
//
//go:embed demo.safetensors
var Model []byte
