package main

// With "C", Go builds the C file beside this one, which runs before Go's runtime starts.

import "C"
