package gpt2

import (
	"captioner/torch"
	"captioner/torch/nn"
)

// Respell gives the model another vocabulary: token i stands for the old tokens spelled[i] in a row, and starts from
// the mean of their embeddings. It works inside torch.Do.
func (m *Model) Respell(spelled [][]int32) {
	old, width := m.Transformer.Tokens.Weight, m.Config.Width
	rows := torch.Slice[float32](old.ToDevice(torch.CPU).To(torch.Float32))
	table := make([]float32, 0, int64(len(spelled))*width) // [V, C]
	for _, ids := range spelled {
		row := make([]float32, width)
		for _, id := range ids {
			for c := range row {
				row[c] += rows[int64(id)*width+int64(c)] / float32(len(ids))
			}
		}
		table = append(table, row...)
	}
	m.Config.VocabSize = int64(len(spelled))
	weight := torch.Upload(table, old.Device(), m.Config.VocabSize, width).Keep()
	m.Transformer.Tokens = nn.Embedding{Weight: weight}
	old.Free()
}
