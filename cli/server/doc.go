// Package server is captioner over HTTP: an API that answers with captions, and a page that anyone can use.
//
//	s, err := server.New(model, server.DefaultOptions())
//	err = s.Serve(ctx, listener) // until ctx ends; then what was accepted is finished
//
// A request is read within limits, its images are decoded by a few workers, and the images of all requests that are
// there go through the model together, as many at once as a batch holds. Images with other options wait their turn in
// the same queue: the oldest image always leads the next batch, so nobody starves.
//
// Everything is bounded: bytes and pixels of an image, images of a request, requests that wait, bytes in memory,
// connections, and how long any of them may take. What does not fit is refused at once with a reason and a remedy (RFC
// 9457). Nothing that a client sent is stored, logged or sent anywhere else.
//
// The package knows a captioner only as a [Model], so that its tests need no tensors. It refuses to load models, to
// read flags and variables, and to end the process.
package server
