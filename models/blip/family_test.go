package blip

import (
	"strings"
	"testing"

	"captioner/models/family"
	"captioner/weights"
)

// What is no captioner is named by its task, before anything else is read.
func TestOpenRefusesOtherTasks(t *testing.T) {
	const tower = "vision_model.embeddings.class_embedding"
	for _, tt := range []struct {
		name  string
		names []string
		want  string
	}{
		{"BlipForQuestionAnswering", []string{tower, textMark, encoderMark}, "questions"},
		{"BlipForImageTextRetrieval", []string{tower, encoderMark, "itm_head.weight"}, "retrieval"},
		{"BlipModel", []string{tower, "text_model.embeddings.word_embeddings.weight"}, "features"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tensors []weights.NamedTensor
			for _, name := range tt.names {
				one := weights.NamedTensor{Name: name, DType: weights.F32, Shape: []int64{1}, Data: make([]byte, 4)}
				tensors = append(tensors, one)
			}
			f := family.Files{Source: memory(t, tensors), Folder: true, ModelType: "blip"}
			if !Family().Recognize(f) {
				t.Error("not recognized")
			}
			if _, err := Family().Open(f); err == nil || !strings.Contains(err.Error(), "found a BLIP for "+tt.want) {
				t.Errorf("got %v, want a BLIP for %s in it", err, tt.want)
			}
		})
	}
}

// A caption ends with [SEP] alone, as BLIP's generate has it, whatever ends text_config names.
func TestDecodingEndsWithSep(t *testing.T) {
	d, err := decoding([]byte(`{"sep_token_id": 3, "eos_token_id": [3, 6], "num_beams": 2}`), 40)
	if err != nil {
		t.Fatal(err)
	}
	if *d.End != 3 || len(d.Ends) != 0 || d.Beam != 2 {
		t.Errorf("got end %d, ends %v and beam %d, want 3, none and 2", *d.End, d.Ends, d.Beam)
	}
}
