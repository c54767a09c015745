// Package standin is a GPU that is none: a device of libtorch's that keeps CUDA's rules and computes on the CPU, for
// tests on machines without a GPU. With the build tag "standin" it takes the place of CUDA in the tests
// (torchtest.EachDevice) and in the program: "cuda:0" and "cuda:1" are then its two devices. Without the tag this
// package is empty, and no released binary has it.
//
//   - Host code cannot touch its memory. A data pointer leads to pages without access, and whoever follows it dies at
//     once. The stand-in itself computes through a second mapping of the same pages.
//   - Tensors of an op lie on one device, or the op fails in CUDA's words. Numbers without dimensions are excepted
//     where CUDA excepts them.
//   - Values leave and enter by copies and by reading a number. Each is counted: see [Crossings].
//   - New memory holds NaNs. What is read before it was written shows.
//   - Autocast has CUDA's lists of ops, each device has a generator of its own, Backward runs on a thread of its own,
//     and memory may be limited ([SetLimit]).
//
// The program reads STANDIN_MEMORY, the bytes of each device's memory; STANDIN_DEVICES, how many there are (2); and
// STANDIN_REPORT, a file that gets a JSON object with the crossings when the program ends.
package standin
