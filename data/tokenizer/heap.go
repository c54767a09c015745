package tokenizer

import "container/heap"

// A candidate is a pair that could be merged: the symbol at position at and the one after it.
type candidate struct {
	rank, at    int32
	left, right int32 // what stood there when the candidate was found; if it has changed, the candidate is void
}

type candidates []candidate

func (c candidates) Len() int      { return len(c) }
func (c candidates) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c candidates) Less(i, j int) bool {
	return c[i].rank < c[j].rank || c[i].rank == c[j].rank && c[i].at < c[j].at
}
func (c *candidates) Push(x any) { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	old := *c
	last := old[len(old)-1]
	*c = old[:len(old)-1]
	return last
}

// mergeLong does what mergeShort does, in n log n steps: a linked list of symbols and a heap of pairs.
func (m *model) mergeLong(ids []int32, visit func(merge)) int {
	const gone = -1
	n := int32(len(ids))
	next, prev := make([]int32, n), make([]int32, n)
	queue := make(candidates, 0, n)
	add := func(at int32, push bool) {
		if at < 0 || next[at] >= n {
			return
		}
		c := candidate{m.rank(ids[at], ids[next[at]]), at, ids[at], ids[next[at]]}
		switch {
		case c.rank == noRank:
		case push:
			heap.Push(&queue, c)
		default:
			queue = append(queue, c)
		}
	}
	for i := range n {
		next[i], prev[i] = i+1, i-1
	}
	for i := range n {
		add(i, false)
	}
	heap.Init(&queue)
	for len(queue) > 0 {
		c := heap.Pop(&queue).(candidate)
		if ids[c.at] != c.left || next[c.at] >= n || ids[next[c.at]] != c.right {
			continue
		}
		if visit != nil {
			visit(m.merges[c.rank])
		}
		right := next[c.at]
		ids[c.at], ids[right] = m.merges[c.rank].result, gone
		next[c.at] = next[right]
		if next[right] < n {
			prev[next[right]] = c.at
		}
		add(prev[c.at], true)
		add(c.at, true)
	}
	left := 0
	for _, id := range ids {
		if id != gone {
			ids[left] = id
			left++
		}
	}
	return left
}
