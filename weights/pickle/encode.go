package pickle

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"
	"unsafe"

	"captioner/weights"
)

// encoder writes a pickle of protocol 2 with the opcodes that torch.load(weights_only=True) knows, and collects the
// storages that the pickle refers to.
type encoder struct {
	out      []byte
	storages []weights.NamedTensor // flat: one a storage, in the order of their keys
	keys     map[dataKey]int
	memo     map[any]int // what was written already, by pointer or text, with its number in the pickle
}

// dataKey tells which tensors share a storage: those of the same bytes in memory.
type dataKey struct {
	data  *byte
	n     int
	dtype weights.DType
}

// storageClass is the other direction of storageTypes.
var storageClass = map[weights.DType]string{
	weights.F64: "DoubleStorage", weights.F32: "FloatStorage", weights.F16: "HalfStorage", weights.BF16: "BFloat16Storage",
	weights.I64: "LongStorage", weights.I32: "IntStorage", weights.I16: "ShortStorage", weights.I8: "CharStorage",
	weights.U8: "ByteStorage", weights.Bool: "BoolStorage",
}

func (e *encoder) op(b ...byte) { e.out = append(e.out, b...) }

func (e *encoder) value(v any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("values nested more than %d deep", maxDepth)
	}
	if e.again(v) {
		return nil
	}
	switch x := v.(type) {
	case nil:
		e.op('N')
	case bool:
		if x {
			e.op(0x88)
		} else {
			e.op(0x89)
		}
	case int:
		e.integer(int64(x))
	case int64:
		e.integer(x)
	case *big.Int:
		return e.long(x)
	case float64:
		e.op('G')
		e.out = binary.BigEndian.AppendUint64(e.out, math.Float64bits(x))
	case string:
		return e.text(x)
	case weights.NamedTensor:
		return e.tensor(x, false)
	case Tuple:
		return e.tuple(x, depth)
	case []any:
		return e.list(x, depth, nil)
	case *List:
		return e.list(x.Items, depth, x)
	case map[string]any:
		d := &Dict{}
		for _, k := range slices.Sorted(maps.Keys(x)) {
			d.Set(k, x[k])
		}
		return e.dict(d, depth)
	case *Dict:
		return e.dict(x, depth)
	case *Tensor:
		return e.readTensor(x)
	default:
		if r, ok := v.(*Record); ok {
			return fmt.Errorf("%s cannot be written: weights_only=True would refuse it", describe(r))
		}
		return fmt.Errorf("a value of Go type %T cannot be written", v)
	}
	return nil
}

// again refers to a value that was written before: shared and cyclic graphs stay what they are, and do not multiply.
func (e *encoder) again(v any) bool {
	switch v.(type) {
	case string, *List, *Dict, *Tensor, *big.Int:
	default:
		return false
	}
	i, ok := e.memo[v]
	if !ok {
		return false
	}
	if i < 256 {
		e.op('h', byte(i))
	} else {
		e.op('j')
		e.out = binary.LittleEndian.AppendUint32(e.out, uint32(i))
	}
	return true
}

// remember numbers the value that was just written, or begun.
func (e *encoder) remember(v any) {
	i := len(e.memo)
	e.memo[v] = i
	if i < 256 {
		e.op('q', byte(i))
	} else {
		e.op('r')
		e.out = binary.LittleEndian.AppendUint32(e.out, uint32(i))
	}
}

func (e *encoder) integer(v int64) {
	switch {
	case v >= 0 && v < 1<<8:
		e.op('K', byte(v))
	case v >= math.MinInt32 && v <= math.MaxInt32:
		e.op('J')
		e.out = binary.LittleEndian.AppendUint32(e.out, uint32(v))
	default:
		e.op(0x8a, 8)
		e.out = binary.LittleEndian.AppendUint64(e.out, uint64(v))
	}
}

func (e *encoder) long(v *big.Int) error {
	n := v.BitLen()/8 + 1 // with room for the sign
	if n > maxLong || n > 255 {
		return fmt.Errorf("an integer of %d bytes, want at most 255", n)
	}
	wrapped := new(big.Int).Set(v)
	if v.Sign() < 0 {
		wrapped.Add(wrapped, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	}
	b := wrapped.FillBytes(make([]byte, n))
	slices.Reverse(b)
	e.op(0x8a, byte(n))
	e.op(b...)
	e.remember(v)
	return nil
}

func (e *encoder) text(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("text %s is not valid UTF-8", shorten(s))
	}
	if len(s) > math.MaxUint32 {
		return fmt.Errorf("text of %d bytes, want less than 4 GiB", len(s))
	}
	e.op('X')
	e.out = binary.LittleEndian.AppendUint32(e.out, uint32(len(s)))
	e.out = append(e.out, s...)
	e.remember(s)
	return nil
}

func (e *encoder) global(module, name string) {
	e.op('c')
	e.out = append(e.out, module+"\n"+name+"\n"...)
}

func (e *encoder) tuple(t Tuple, depth int) error {
	if len(t) == 0 {
		e.op(')')
		return nil
	}
	e.op('(')
	for _, v := range t {
		if err := e.value(v, depth+1); err != nil {
			return err
		}
	}
	e.op('t')
	return nil
}

// list writes a list; identity is the pointer by which others may refer to it, or nil.
func (e *encoder) list(items []any, depth int, identity *List) error {
	e.op(']')
	if identity != nil {
		e.remember(identity)
	}
	e.op('(')
	for i, v := range items {
		if err := e.value(v, depth+1); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	e.op('e')
	return nil
}

// dict writes an OrderedDict as the call that makes one; its attributes (_metadata) are versions that torch can do
// without.
func (e *encoder) dict(d *Dict, depth int) error {
	if d.Ordered {
		e.global("collections", "OrderedDict")
		e.op(')', 'R')
	} else {
		e.op('}')
	}
	e.remember(d)
	e.op('(')
	for k, v := range d.All() {
		switch k.(type) {
		case string, int64, int, bool, float64, nil, Tuple:
		default:
			return fmt.Errorf("%s as a key cannot be written", describe(k))
		}
		if err := e.value(k, depth+1); err != nil {
			return err
		}
		if err := e.value(v, depth+1); err != nil {
			return fmt.Errorf("[%s]: %w", shorten(keyName(k)), err)
		}
	}
	e.op('u')
	return nil
}

// readTensor writes a tensor that a file gave: its elements only, contiguous.
func (e *encoder) readTensor(t *Tensor) error {
	n, err := weights.ByteSize(t.DType, t.Shape)
	if t.unsupported == "" && err != nil {
		return err
	}
	data, _, err := t.data(n)
	if err != nil {
		return err
	}
	if err := e.tensor(weights.NamedTensor{DType: t.DType, Shape: t.Shape, Data: data}, t.RequiresGrad); err != nil {
		return err
	}
	e.remember(t)
	return nil
}

// tensor writes the call of _rebuild_tensor_v2 over a whole storage.
func (e *encoder) tensor(t weights.NamedTensor, requiresGrad bool) error {
	if err := t.Validate(); err != nil {
		return err
	}
	elements := int64(len(t.Data) / t.DType.Size())
	e.global("torch._utils", "_rebuild_tensor_v2")
	e.op('(', '(')
	e.value("storage", 0)
	e.global("torch", storageClass[t.DType])
	e.value(fmt.Sprint(e.storage(t)), 0)
	e.value("cpu", 0)
	e.integer(elements)
	e.op('t', 'Q') // the storage's tuple becomes the storage
	e.integer(0)
	strides := make([]int64, len(t.Shape))
	step := int64(1)
	for d := len(t.Shape) - 1; d >= 0; d-- {
		strides[d] = step
		step *= max(t.Shape[d], 1) // as PyTorch does for empty tensors
	}
	for _, dims := range [][]int64{t.Shape, strides} {
		e.op('(')
		for _, v := range dims {
			e.integer(v)
		}
		e.op('t')
	}
	e.value(requiresGrad, 0)
	e.global("collections", "OrderedDict") // the hooks
	e.op(')', 'R', 't', 'R')
	return nil
}

// storage returns the number of the storage with the tensor's data, the same for tensors that share it.
func (e *encoder) storage(t weights.NamedTensor) int {
	k := dataKey{unsafe.SliceData(t.Data), len(t.Data), t.DType}
	if i, ok := e.keys[k]; ok && len(t.Data) > 0 {
		return i
	}
	i := len(e.storages)
	e.keys[k] = i
	e.storages = append(e.storages, t)
	return i
}
