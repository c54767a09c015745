// Package train makes captioners. An encoder's features are computed once and cached on disk, for several ways of
// showing each image, or its upper stages learn with the rest; memory and decoder learn from captions by
// cross-entropy, after text alone where there is some or from a GPT-2 that knows its language already, and then by
// self-critical training on CIDEr-D where that is asked for.
//
// [Run] does all of it in a run folder. The seed decides everything: two runs with the same options on the same
// machine write the same files, and a run that was stopped at any moment, or killed, goes on from its last checkpoint
// to the very weights that it would have reached.
//
// A run folder holds what was asked for (options.json) and on what it ran (environment.json); the model files with the
// best score so far (best.safetensors), of the last measurement (last.safetensors), and as many more as were to be
// kept; what resuming needs (state.safetensors); and what happened: metrics.jsonl (one object a line), the same
// numbers for TensorBoard, samples.jsonl (captions of the measurements), loss.svg and loss.png. Model files and
// checkpoints appear whole or not at all.
package train
