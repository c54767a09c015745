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
