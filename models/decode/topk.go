package decode

// topK gives the places of the k largest values in the order in which torch.topk gives them on a CPU. Where values are
// equal that order follows from the algorithms behind it, those of GNU's C++ library: std::partial_sort for few of
// many, else std::nth_element and std::sort (aten TopKImpl.h; libstdc++ bits/stl_algo.h).
func topK(values []float32, k int) []int {
	q := make(queue, len(values))
	for i, v := range values {
		q[i] = ranked{v, i}
	}
	switch {
	case k < 1:
		return nil
	case k*64 <= len(q):
		q.partialSort(k)
	default:
		q.nth(k - 1)
		q[:k-1].sort()
	}
	out := make([]int, k)
	for i := range out {
		out[i] = q[i].at
	}
	return out
}

type ranked struct {
	value float32
	at    int
}

type queue []ranked

// before is the order: larger values first, NaN before all.
func (a ranked) before(b ranked) bool {
	return a.value != a.value && b.value == b.value || a.value > b.value
}

// few is the number of elements that are left to insertion.
const few = 16

// nth puts the element that belongs there at place n, and nothing that belongs behind it before it.
func (q queue) nth(n int) {
	first, last := 0, len(q)
	for last-first > 3 {
		if cut := first + q[first:last].partition(); cut <= n {
			first = cut
		} else {
			last = cut
		}
	}
	q[first:last].insertion()
}

func (q queue) sort() {
	q.introsort()
	if len(q) <= few {
		q.insertion()
		return
	}
	q[:few].insertion()
	for i := few; i < len(q); i++ {
		q.insert(i)
	}
}

// introsort leaves runs of at most few elements unordered in themselves.
func (q queue) introsort() {
	for len(q) > few {
		cut := q.partition()
		q[cut:].introsort()
		q = q[:cut]
	}
}

// partition moves what comes before the median of three to the left of the place that it returns.
func (q queue) partition() int {
	q.medianToFront(1, len(q)/2, len(q)-1)
	pivot, i, j := q[0], 1, len(q)
	for {
		for q[i].before(pivot) {
			i++
		}
		for j--; pivot.before(q[j]); j-- {
		}
		if i >= j {
			return i
		}
		q[i], q[j] = q[j], q[i]
		i++
	}
}

func (q queue) medianToFront(a, b, c int) {
	m := b
	switch ab, ac, bc := q[a].before(q[b]), q[a].before(q[c]), q[b].before(q[c]); {
	case ab && !bc && ac, !ab && !ac && bc:
		m = c
	case ab && !bc && !ac, !ab && ac:
		m = a
	}
	q[0], q[m] = q[m], q[0]
}

func (q queue) insertion() {
	for i := 1; i < len(q); i++ {
		if x := q[i]; x.before(q[0]) {
			copy(q[1:i+1], q[:i])
			q[0] = x
		} else {
			q.insert(i)
		}
	}
}

// insert moves element i to the left, behind what does not come after it.
func (q queue) insert(i int) {
	x := q[i]
	for ; i > 0 && x.before(q[i-1]); i-- {
		q[i] = q[i-1]
	}
	q[i] = x
}

// partialSort puts the first k in order with a heap whose top is the last of them.
func (q queue) partialSort(k int) {
	h := q[:k]
	for parent := (k - 2) / 2; k > 1 && parent >= 0; parent-- {
		h.adjust(parent, h[parent])
	}
	for i := k; i < len(q); i++ {
		if q[i].before(h[0]) {
			x := q[i]
			q[i] = h[0]
			h.adjust(0, x)
		}
	}
	for ; len(h) > 1; h = h[:len(h)-1] {
		x := h[len(h)-1]
		h[len(h)-1] = h[0]
		h[:len(h)-1].adjust(0, x)
	}
}

// adjust lets the hole sink to a leaf along the later children and x rise from there to its place.
func (q queue) adjust(hole int, x ranked) {
	top, child := hole, hole
	for child < (len(q)-1)/2 {
		child = 2*child + 2
		if q[child].before(q[child-1]) {
			child--
		}
		q[hole] = q[child]
		hole = child
	}
	if len(q)%2 == 0 && child == (len(q)-2)/2 {
		child = 2*child + 1
		q[hole] = q[child]
		hole = child
	}
	for hole > top && q[(hole-1)/2].before(x) {
		q[hole] = q[(hole-1)/2]
		hole = (hole - 1) / 2
	}
	q[hole] = x
}
