package pickle

import (
	"errors"
	"fmt"
	"strings"
)

// object executes the opcodes that name globals, make objects and give them their state.
func (m *machine) object(op byte) error {
	switch op {
	case 'c': // GLOBAL
		g, err := m.globalLines()
		return m.pushResult(g, err)
	case 0x93: // STACK_GLOBAL
		return m.stackGlobal()
	case 'R': // REDUCE
		args, err := m.popTuple()
		if err != nil {
			return err
		}
		callee, err := m.pop()
		if err != nil {
			return err
		}
		return m.pushCall(callee, args)
	case 0x81: // NEWOBJ
		args, err := m.popTuple()
		if err != nil {
			return err
		}
		return m.pushNew(args, nil)
	case 0x92: // NEWOBJ_EX
		kwargs, err := m.pop()
		if err != nil {
			return err
		}
		args, err := m.popTuple()
		if err != nil {
			return err
		}
		d, ok := kwargs.(*Dict)
		if !ok {
			return fmt.Errorf("keyword arguments in %s, want a dict", describe(kwargs))
		}
		return m.pushNew(args, d)
	case 'i', 'o': // INST, OBJ
		return m.oldObject(op)
	case 'b': // BUILD
		return m.build()
	case 'Q': // BINPERSID
		id, err := m.pop()
		if err != nil {
			return err
		}
		if m.persistent == nil {
			return errors.New("a reference to data outside the pickle, in a file that has none")
		}
		return m.pushResult(m.persistent(id))
	}
	return errors.New("textual references to data outside the pickle are not supported") // PERSID
}

// newGlobal gives the two modules that Python 3 renamed their present names: protocols below 3 write the old ones.
func newGlobal(module, name string) Global {
	switch module {
	case "__builtin__":
		module = "builtins"
	case "copy_reg":
		module = "copyreg"
	}
	return Global{module, name}
}

func (m *machine) stackGlobal() error {
	name, err := m.pop()
	if err != nil {
		return err
	}
	module, err := m.pop()
	if err != nil {
		return err
	}
	n, ok1 := name.(string)
	mod, ok2 := module.(string)
	if !ok1 || !ok2 {
		return fmt.Errorf("a global named by %s and %s, want two strings", describe(module), describe(name))
	}
	m.push(newGlobal(mod, n))
	return nil
}

func (m *machine) pushCall(callee any, args Tuple) error {
	g, ok := callee.(Global)
	if !ok {
		return fmt.Errorf("a call of %s, want a named constructor", describe(callee))
	}
	return m.pushResult(m.call(g, args))
}

func (m *machine) pushNew(args Tuple, kwargs *Dict) error {
	class, err := m.pop()
	if err != nil {
		return err
	}
	g, ok := class.(Global)
	if !ok {
		return fmt.Errorf("an object of %s, want a class", describe(class))
	}
	v, err := m.create(g, args)
	if err != nil {
		return err
	}
	if r, ok := v.(*Record); ok && kwargs != nil && kwargs.Len() > 0 {
		r.Args = append(r.Args, kwargs)
	}
	m.push(v)
	return nil
}

// oldObject executes INST and OBJ, by which protocols 0 and 1 call a class: the rules of calls hold for them.
func (m *machine) oldObject(op byte) error {
	var class any
	if op == 'i' {
		g, err := m.globalLines()
		if err != nil {
			return err
		}
		class = g
	}
	args, err := m.popMark()
	if err != nil {
		return err
	}
	if op == 'o' {
		if len(args) == 0 {
			return errors.New("an object without a class")
		}
		class, args = args[0], args[1:]
	}
	return m.pushCall(class, args)
}

// build sets the state of the object on the stack, as __setstate__ or an update of its attributes would.
func (m *machine) build() error {
	state, err := m.pop()
	if err != nil {
		return err
	}
	v, err := m.top()
	if err != nil {
		return err
	}
	switch x := v.(type) {
	case *Record:
		x.State = state
	case *Dict:
		x.Attrs = state
	case *Tensor:
		x.Attrs = state
	default:
		return fmt.Errorf("state for %s, want an object", describe(v))
	}
	return nil
}

// classLike tells class names from function names by the convention that all of Python's machine-learning world keeps.
func classLike(g Global) bool {
	last := g.Name[strings.LastIndexByte(g.Name, '.')+1:]
	last = strings.TrimLeft(last, "_")
	return last != "" && last[0] >= 'A' && last[0] <= 'Z'
}

// standard reports whether a module belongs to Python's standard library.
func standard(module string) bool {
	top, _, _ := strings.Cut(module, ".")
	return standardModules[top]
}
