package pickle

import (
	"errors"
	"fmt"
	"slices"
)

// operands are the values that the opcodes of a pickle work on.
type operands struct {
	stack []any
	marks []int       // heights of the stack at MARK opcodes
	memo  []any       // entries 0, 1, 2… as all writers number them
	far   map[int]any // entries with other numbers
}

func (o *operands) push(v any) { o.stack = append(o.stack, v) }

// pushResult pushes what a function returned, unless it failed.
func (o *operands) pushResult(v any, err error) error {
	if err == nil {
		o.push(v)
	}
	return err
}

// floor is the height below which the values belong to an outer mark.
func (o *operands) floor() int {
	if n := len(o.marks); n > 0 {
		return o.marks[n-1]
	}
	return 0
}

func (o *operands) top() (any, error) {
	if len(o.stack) <= o.floor() {
		return nil, errors.New("the stack is empty")
	}
	return o.stack[len(o.stack)-1], nil
}

func (o *operands) pop() (any, error) {
	v, err := o.top()
	if err == nil {
		o.stack[len(o.stack)-1] = nil
		o.stack = o.stack[:len(o.stack)-1]
	}
	return v, err
}

// popMark returns a copy of the values above the last mark and drops them and the mark.
func (o *operands) popMark() ([]any, error) {
	n := len(o.marks)
	if n == 0 {
		return nil, errors.New("no mark on the stack")
	}
	items := slices.Clone(o.stack[o.marks[n-1]:])
	clear(o.stack[o.marks[n-1]:])
	o.stack = o.stack[:o.marks[n-1]]
	o.marks = o.marks[:n-1]
	return items, nil
}

func (o *operands) popTuple() (Tuple, error) {
	v, err := o.pop()
	if err != nil {
		return nil, err
	}
	t, ok := v.(Tuple)
	if !ok {
		return nil, fmt.Errorf("arguments in %s, want a tuple", describe(v))
	}
	return t, nil
}

func (o *operands) appendItems(items []any) error {
	v, err := o.top()
	if err != nil {
		return err
	}
	switch x := v.(type) {
	case *List:
		x.Items = append(x.Items, items...)
	case *Set:
		x.Items = append(x.Items, items...)
	case *Record:
		x.Items = append(x.Items, items...)
	default:
		return fmt.Errorf("items appended to %s", describe(v))
	}
	return nil
}

func (o *operands) setItems(items []any) error {
	v, err := o.top()
	if err != nil {
		return err
	}
	if len(items)%2 != 0 {
		return errors.New("a key without a value")
	}
	var d *Dict
	switch x := v.(type) {
	case *Dict:
		d = x
	case *Record:
		if x.Entries == nil {
			x.Entries = &Dict{}
		}
		d = x.Entries
	default:
		return fmt.Errorf("items set in %s", describe(v))
	}
	for i := 0; i < len(items); i += 2 {
		d.Set(items[i], items[i+1])
	}
	return nil
}

// memoize never makes room for entries that the file only numbers.
func (o *operands) memoize(i int, v any) {
	switch {
	case i < len(o.memo):
		o.memo[i] = v
	case i == len(o.memo):
		o.memo = append(o.memo, v)
		delete(o.far, i)
	default:
		if o.far == nil {
			o.far = map[int]any{}
		}
		o.far[i] = v
	}
}

func (o *operands) recall(i int) error {
	if i < len(o.memo) {
		o.push(o.memo[i])
		return nil
	}
	v, ok := o.far[i]
	if !ok {
		return fmt.Errorf("memo %d was never stored", i)
	}
	o.push(v)
	return nil
}

// reset forgets the values of the last pickle and stays behind it.
func (o *operands) reset() { o.stack, o.marks, o.memo, o.far = nil, nil, nil, nil }
