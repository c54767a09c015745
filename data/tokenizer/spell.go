package tokenizer

// Spelled says, for each id of t, by which ids another tokenizer spells the same token: by one where it has the token
// too. They are the rows that an embedding for t may start from.
func Spelled(t, by *Tokenizer) [][]int32 {
	out := make([][]int32, t.VocabSize())
	for id, token := range t.model.tokens {
		if same, ok := by.model.ids[token]; ok {
			out[id] = []int32{same}
			continue
		}
		for _, b := range appendBytes(nil, token) {
			out[id] = append(out[id], by.model.byteID[b])
		}
		out[id] = out[id][:by.model.merge(out[id], nil)]
	}
	return out
}
