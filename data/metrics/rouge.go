package metrics

// rougeL returns coco-caption's ROUGE-L of one caption: the F measure (beta 1.2) of the best precision and the best
// recall of the longest common subsequence, each over all references. row is scratch, returned for the next call.
func rougeL(hyp []int32, refs [][]int32, row []int32) (float64, []int32) {
	const beta2 = 1.2 * 1.2
	var precision, recall float64
	for _, ref := range refs {
		var lcs int32
		lcs, row = commonSubsequence(hyp, ref, row)
		precision = max(precision, float64(lcs)/float64(len(hyp)))
		recall = max(recall, float64(lcs)/float64(len(ref)))
	}
	if precision == 0 || recall == 0 {
		return 0, row
	}
	return (1 + beta2) * precision * recall / (recall + beta2*precision), row
}

// commonSubsequence returns the length of the longest common subsequence, keeping one row of the table.
func commonSubsequence(a, b, row []int32) (int32, []int32) {
	if cap(row) < len(b)+1 {
		row = make([]int32, 2*len(b)+1)
	}
	row = row[:len(b)+1]
	clear(row)
	for _, x := range a {
		diagonal := int32(0)
		for j, y := range b {
			up := row[j+1]
			switch {
			case x == y:
				row[j+1] = diagonal + 1
			case row[j] > up:
				row[j+1] = row[j]
			}
			diagonal = up
		}
	}
	return row[len(b)], row
}
