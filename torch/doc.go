// Package torch is the one room that touches libtorch: tensors, scopes, modes, random numbers and threads.
//
// The op layer is gotch's C library (package libtch); what that lacks stands in bridge.cpp. No type of either leaves
// this package.
//
// # Rules
//
// All work on tensors happens inside [Do], which runs a function on the one locked OS thread that may touch libtorch.
// Loaders, servers and image decoders hand over plain Go slices and get plain Go slices back.
//
// Inside Do, ops are short ([Tensor.Add], [Tensor.Matmul]) and return no error: an op that fails panics with a private
// type, which Do alone recovers and returns as an [*OpError]. Every other panic passes through Do to its caller.
//
// What an op returns belongs to the current scope and is freed when that scope closes: at the end of Do, or of the
// nearest [Scoped] or [Tidy]. [Tensor.Keep] takes a tensor out of its scope; its new owner calls [Tensor.Free]. A
// tensor that was freed is refused by every op with an OpError. Nothing is freed by finalizers; [Live] counts the
// handles, and tests assert that it returns to where it was.
//
// Shapes in comments use these letters everywhere: B batch, T text positions, P positions of the memory, C width, H
// heads, D head size, V vocabulary.
package torch
