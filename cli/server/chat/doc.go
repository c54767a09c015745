// Package chat holds what the chat APIs of other programs have in common: text and images in, text out.
//
// A captioner answers no questions and follows no orders but a few about the caption. [Read] turns an instruction in
// plain English into decoding options, and tells which of its words it does not follow. The package knows no HTTP and
// no model.
package chat
