// Package train makes captioners: a frozen encoder whose features are computed once and cached on disk, and a memory and decoder that learn
// from captions by cross-entropy, after text alone where there is some, and then by self-critical training on CIDEr-D where that is asked
// for.
//
// [Run] does all of it in a run folder. The seed decides everything: two runs with the same options on the same machine write the same
// files, and a run that was stopped at any moment goes on from its last checkpoint to the very weights that it would have reached.
//
// A run folder holds options.json (what was asked for), best.safetensors (the model file with the best score so far), state.safetensors
// (what resuming needs) and metrics.jsonl (one object a line). Every file appears whole or not at all.
package train
