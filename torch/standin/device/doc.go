// Package device is the stand-in's device as libtorch sees it, in C++. Package standin is its face. It imports no Go
// package, so that a change of Go code compiles no C++. Without the build tag "standin" it is empty.
package device
