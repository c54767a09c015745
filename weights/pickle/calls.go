package pickle

import (
	"errors"
	"fmt"
	"maps"
	"strings"
)

// builder stands for a Python callable: it makes from the arguments what the callable would return.
type builder func(m *machine, args Tuple) (any, error)

// builders are the calls that this package answers itself.
var builders = makeBuilders()

// containers are Python's own, which classes extend and pickles fill.
var containers = map[string]builder{
	"collections.OrderedDict": func(m *machine, args Tuple) (any, error) { return m.newDict(args, true) },
	"collections.defaultdict": func(m *machine, args Tuple) (any, error) {
		return m.newDict(args[min(1, len(args)):], false)
	},
	"collections.Counter": func(m *machine, args Tuple) (any, error) { return m.newDict(args, false) },
	"builtins.dict":       func(m *machine, args Tuple) (any, error) { return m.newDict(args, false) },
	"builtins.list":       newList,
	"builtins.tuple":      newTuple,
	"builtins.set":        newSet,
	"builtins.frozenset":  newSet,
	"torch.Size":          newTuple,
}

func makeBuilders() map[string]builder {
	b := map[string]builder{
		"builtins.bytes":     newBytes,
		"builtins.bytearray": newBytes,
		"builtins.getattr":   attribute,
		"_codecs.encode":     newBytes,

		"copyreg._reconstructor": reconstruct,
		"copyreg.__newobj__":     newObject,

		"torch.storage._load_from_bytes":             loadFromBytes,
		"torch._utils._rebuild_tensor":               rebuildTensor,
		"torch._utils._rebuild_tensor_v2":            rebuildTensor,
		"torch._utils._rebuild_tensor_v3":            rebuildTensorV3,
		"torch._utils._rebuild_parameter":            rebuildParameter,
		"torch._utils._rebuild_parameter_with_state": rebuildParameter,
		"torch._tensor._rebuild_from_type":           rebuildFromType,
		"torch._tensor._rebuild_from_type_v2":        rebuildFromType,

		"torch.jit._pickle.restore_type_tag": firstArg,
		"torch.jit._pickle.build_intlist":    firstArg,
		"torch.jit._pickle.build_doublelist": firstArg,
		"torch.jit._pickle.build_boollist":   firstArg,
		"torch.jit._pickle.build_tensorlist": firstArg,
	}
	maps.Copy(b, containers)
	for _, core := range []string{"numpy.core.multiarray", "numpy._core.multiarray"} {
		b[core+".scalar"] = numpyScalar
	}
	for name, kind := range map[string]string{
		"_rebuild_qtensor": "quantised", "_rebuild_sparse_tensor": "sparse", "_rebuild_sparse_csr_tensor": "sparse",
		"_rebuild_meta_tensor_no_storage": "without data", "_rebuild_nested_tensor": "nested",
		"_rebuild_device_tensor_from_numpy": "of another device", "_rebuild_wrapper_subclass": "of a wrapper class",
	} {
		b["torch._utils."+name] = func(*machine, Tuple) (any, error) { return &Tensor{unsupported: "a tensor " + kind}, nil }
	}
	return b
}

// plain are callables of which a record is made although their names, or their modules, would have them refused.
var plain = set(
	"argparse.Namespace", "types.SimpleNamespace", "collections.deque", "functools.partial", "re._compile",
	"regex._regex.compile", "regex.regex.compile", "_regex.compile", "regex._regex_core.compile",
	"logging.getLogger", "logging.Logger", "time.struct_time", "random.Random",
	"datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta", "datetime.timezone",
	"decimal.Decimal", "fractions.Fraction", "uuid.UUID", "_io.BytesIO", "_io.StringIO", "io.BytesIO", "io.StringIO",
	"pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePath", "pathlib.PurePosixPath",
	"pathlib.PureWindowsPath",
	"pathlib._local.PosixPath", "pathlib._local.WindowsPath", "pathlib._local.Path",
	"collections.UserDict", "collections.UserList", "collections.UserString", "collections.ChainMap",
	"inspect.Signature", "inspect.Parameter", "inspect._ParameterKind",
	"builtins.object", "builtins.complex", "builtins.slice", "builtins.range", "builtins.int", "builtins.float",
	"builtins.str", "builtins.bool",
	"numpy.dtype", "numpy.ndarray", "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
	"numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer",
	"numpy.random._pickle.__generator_ctor", "numpy.random._pickle.__bit_generator_ctor",
	"numpy.random._pickle.__randomstate_ctor",
	"torch.device", "torch.serialization._get_layout", "torch.Generator",
)

func set(names ...string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, n := range names {
		s[n] = true
	}
	return s
}

// call answers REDUCE: a builder's value, a record for what can only be a class, or a refusal.
func (m *machine) call(g Global, args Tuple) (any, error) {
	name := g.String()
	if build, ok := builders[name]; ok {
		v, err := build(m, args)
		if err != nil {
			var refused *RefusedError
			if errors.As(err, &refused) {
				return nil, err
			}
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return v, nil
	}
	if plain[name] || classLike(g) && !standard(g.Module) || madeAgain(g) {
		return &Record{Module: g.Module, Name: g.Name, Args: args}, nil
	}
	return nil, refuse(name)
}

// madeAgain says whether a function only makes an object of spaCy again, of which the tokenizer of clip-text-decoder
// 1.0.0 holds many. Like a class it is not called: the object becomes a record.
func madeAgain(g Global) bool {
	root, _, _ := strings.Cut(g.Module, ".")
	return (root == "spacy" || root == "thinc" || root == "preshed") && (strings.HasPrefix(g.Name, "unpickle_") ||
		strings.HasPrefix(g.Name, "__pyx_unpickle_"))
}

// create answers NEWOBJ, which makes an object without calling its class: any class that the standard library does not
// own will do.
func (m *machine) create(class Global, args Tuple) (any, error) {
	name := class.String()
	if build, ok := containers[name]; ok {
		return build(m, args)
	}
	if !plain[name] && standard(class.Module) {
		return nil, refuse(name)
	}
	return &Record{Module: class.Module, Name: class.Name, Args: args}, nil
}

func refuse(name string) error {
	if len(name) > 200 {
		name = name[:200] + "…"
	}
	return &RefusedError{Global: name}
}

func arg[T any](args Tuple, i int, what string) (T, error) {
	var zero T
	if i >= len(args) {
		return zero, fmt.Errorf("%d arguments, want %s as number %d", len(args), what, i+1)
	}
	v, ok := args[i].(T)
	if !ok {
		return zero, fmt.Errorf("argument %d is %s, want %s", i+1, describe(args[i]), what)
	}
	return v, nil
}

// items returns a copy of the elements of an iterable argument, nothing if there is no argument.
func (m *machine) items(args Tuple) ([]any, error) {
	if len(args) == 0 {
		return nil, nil
	}
	var from []any
	switch x := args[0].(type) {
	case *List:
		from = x.Items
	case Tuple:
		from = x
	case *Set:
		from = x.Items
	default:
		return nil, fmt.Errorf("argument 1 is %s, want a list", describe(args[0]))
	}
	if err := m.charge(len(from)); err != nil {
		return nil, err
	}
	return append([]any{}, from...), nil
}

func newList(m *machine, args Tuple) (any, error) {
	v, err := m.items(args)
	return &List{Items: v}, err
}

func newTuple(m *machine, args Tuple) (any, error) {
	v, err := m.items(args)
	return Tuple(v), err
}

func newSet(m *machine, args Tuple) (any, error) {
	v, err := m.items(args)
	return &Set{Items: v}, err
}

// newDict takes nothing, a dict, or pairs.
func (m *machine) newDict(args Tuple, ordered bool) (any, error) {
	d := &Dict{Ordered: ordered}
	if len(args) == 0 {
		return d, nil
	}
	if from, ok := args[0].(*Dict); ok {
		if err := m.charge(from.Len()); err != nil {
			return nil, err
		}
		for k, v := range from.All() {
			d.Set(k, v)
		}
		return d, nil
	}
	pairs, err := m.items(args)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		kv, err := m.items(Tuple{p})
		if err != nil || len(kv) != 2 {
			return nil, errors.New("want pairs of a key and a value")
		}
		d.Set(kv[0], kv[1])
	}
	return d, nil
}

// newBytes answers bytes(), bytearray(b"…") and _codecs.encode(text, "latin1"), by which protocol 2 writes bytes.
func newBytes(m *machine, args Tuple) (any, error) {
	if len(args) == 0 {
		return Bytes{}, nil
	}
	switch x := args[0].(type) {
	case Bytes:
		return x, nil
	case string:
		encoding, err := arg[string](args, 1, "an encoding")
		if err != nil {
			return nil, err
		}
		if encoding != "latin1" && encoding != "latin-1" {
			return nil, fmt.Errorf("encoding %s, want \"latin1\"", shorten(encoding))
		}
		if err := m.charge(len(x)); err != nil {
			return nil, err
		}
		b := make(Bytes, 0, len(x))
		for _, r := range x {
			if r > 0xff {
				return nil, errors.New("text that is not Latin-1")
			}
			b = append(b, byte(r))
		}
		return b, nil
	}
	return nil, fmt.Errorf("argument 1 is %s, want bytes", describe(args[0]))
}

// attribute answers getattr of a class, by which nested classes and members of enums are named. Of an object it is only
// recorded; what comes of it cannot be called.
func attribute(m *machine, args Tuple) (any, error) {
	name, err := arg[string](args, 1, "a name")
	if err != nil {
		return nil, err
	}
	if g, ok := args[0].(Global); ok {
		if err := m.charge(len(g.Name) + len(name)); err != nil {
			return nil, err
		}
		return Global{g.Module, g.Name + "." + name}, nil
	}
	return &Record{Module: "builtins", Name: "getattr", Args: args}, nil
}

// reconstruct answers copyreg._reconstructor(class, base, value), by which protocols 0 and 1 make objects.
func reconstruct(m *machine, args Tuple) (any, error) {
	class, err := arg[Global](args, 0, "a class")
	if err != nil {
		return nil, err
	}
	if len(args) != 3 {
		return nil, fmt.Errorf("%d arguments, want 3", len(args))
	}
	v, err := m.create(class, nil)
	if err != nil {
		return nil, err
	}
	r, ok := v.(*Record)
	if !ok || args[2] == nil {
		return v, nil
	}
	switch base := args[2].(type) { // a copy of the built-in value that the class extends
	case *Dict:
		r.Entries = base
	case *List:
		r.Items, err = m.items(Tuple{base})
	default:
		r.Args = []any{args[2]}
	}
	return r, err
}

func newObject(m *machine, args Tuple) (any, error) {
	class, err := arg[Global](args, 0, "a class")
	if err != nil {
		return nil, err
	}
	return m.create(class, args[1:])
}

func firstArg(_ *machine, args Tuple) (any, error) { return arg[any](args, 0, "a value") }
