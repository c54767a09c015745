package pickle

import "errors"

var emptyTuple any = Tuple{} // boxed once

// container executes the opcodes that make and fill tuples, lists, dicts and sets.
func (m *machine) container(op byte) error {
	switch op {
	case ')':
		m.push(emptyTuple)
	case ']':
		m.push(&List{})
	case '}':
		m.push(&Dict{})
	case 0x8f: // EMPTY_SET
		m.push(&Set{})
	case 0x85, 0x86, 0x87: // TUPLE1, TUPLE2, TUPLE3
		n := int(op) - 0x84
		if len(m.stack)-m.floor() < n {
			return errors.New("the stack is empty")
		}
		t := make(Tuple, n)
		copy(t, m.stack[len(m.stack)-n:])
		m.stack = m.stack[:len(m.stack)-n]
		m.push(t)
	case 'a', 's': // APPEND, SETITEM: no mark
		n := 1
		if op == 's' {
			n = 2
		}
		if len(m.stack)-m.floor() < n+1 {
			return errors.New("the stack is empty")
		}
		items := append([]any{}, m.stack[len(m.stack)-n:]...)
		m.stack = m.stack[:len(m.stack)-n]
		if op == 's' {
			return m.setItems(items)
		}
		return m.appendItems(items)
	default:
		return m.marked(op)
	}
	return nil
}

// marked executes the opcodes that take everything above a mark.
func (m *machine) marked(op byte) error {
	items, err := m.popMark()
	if err != nil {
		return err
	}
	switch op {
	case 't':
		m.push(Tuple(items))
	case 'l':
		m.push(&List{Items: items})
	case 'd':
		m.push(&Dict{})
		return m.setItems(items)
	case 'e': // APPENDS
		return m.appendItems(items)
	case 'u': // SETITEMS
		return m.setItems(items)
	case 0x90: // ADDITEMS
		return m.appendItems(items)
	case 0x91: // FROZENSET
		m.push(&Set{Items: items})
	}
	return nil
}

// describe names a value's kind for messages, never its content, which may be large.
func describe(v any) string {
	switch x := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int64:
		return "an int"
	case float64:
		return "a float"
	case string:
		return "a string"
	case Bytes:
		return "bytes"
	case Tuple:
		return "a tuple"
	case *List:
		return "a list"
	case *Dict:
		return "a dict"
	case *Set:
		return "a set"
	case *Tensor:
		return "a tensor"
	case *Storage:
		return "a storage"
	case Global:
		return "the name " + shorten(x.String())
	case *Record:
		return "an object of " + shorten(x.Module+"."+x.Name)
	}
	return "a long int"
}
