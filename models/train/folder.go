package train

import (
	"io"

	"captioner/models/checkpoint"
)

// The files of a run folder.
const (
	optionsFile = checkpoint.RunOptionsFile
	stateFile   = "state.safetensors"
	bestFile    = checkpoint.BestFile
	lastFile    = "last.safetensors" // of the last measurement
	metricsFile = "metrics.jsonl"
	samplesFile = "samples.jsonl"
	eventsFile  = "events.out.tfevents.0.captioner" // TensorBoard knows its files by their names
	spoiltFile  = "spoilt-batch.json"

	environmentFile = "environment.json" // by what and on what the run was made
)

func writer(b []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(b); return err }
}
