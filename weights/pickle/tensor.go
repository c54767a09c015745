package pickle

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"captioner/weights"
)

// Storage is a run of elements that one or more tensors look at.
type Storage struct {
	Key   string        // its name in the file
	DType weights.DType // zero if unsupported; U8 for an untyped storage
	Len   int64         // in elements of DType

	data        []byte
	unsupported string   // why DType is zero
	root        *Storage // for a view of another storage: in legacy files, and typed views of untyped ones
	rootOffset  int64    // in elements of DType
}

// bytes returns the data; a view's is that of its root from its own offset on.
func (s *Storage) bytes() []byte {
	if s.root == nil {
		return s.data
	}
	from, n := s.rootOffset*int64(s.DType.Size()), s.Len*int64(s.DType.Size())
	return s.root.bytes()[from : from+n]
}

// Tensor is a tensor of the object graph: a view of a storage.
type Tensor struct {
	DType         weights.DType // zero if unsupported
	Shape, Stride []int64       // Stride in elements
	Offset        int64         // of the first element in Storage
	Storage       *Storage
	RequiresGrad  bool
	Parameter     bool // an nn.Parameter
	Attrs         any  // attributes of the Python object, nearly always nil

	unsupported string // why its data cannot be had: complex, quantised, sparse…
}

// data returns the elements in row-major order. They alias the file if the tensor is contiguous there; a strided or
// unaligned one is copied. A tensor that repeats elements is refused if the copy would be larger than limit bytes.
func (t *Tensor) data(limit int64) (b []byte, held bool, err error) {
	if t.unsupported != "" {
		return nil, false, fmt.Errorf("%s is not supported", t.unsupported)
	}
	size := int64(t.DType.Size())
	n, err := weights.ByteSize(t.DType, t.Shape)
	if err != nil {
		return nil, false, err
	}
	if n == 0 {
		return []byte{}, false, nil
	}
	all := t.Storage.bytes()
	if t.contiguous() {
		b, held = weights.Aligned(all[t.Offset*size:t.Offset*size+n:t.Offset*size+n], int(size))
		return b, held, nil
	}
	if n > limit {
		return nil, false, fmt.Errorf("shape %v with strides %v repeats a few elements over %d bytes, want at most %d",
			t.Shape, t.Stride, n, limit)
	}
	out := make([]byte, 0, n)
	return t.gather(out, all[t.Offset*size:], 0), false, nil
}

// gather appends the elements below dimension d, whose first lies at the begin of from.
func (t *Tensor) gather(out, from []byte, d int) []byte {
	size := int64(t.DType.Size())
	if d == len(t.Shape) {
		return append(out, from[:size]...)
	}
	if d == len(t.Shape)-1 && t.Stride[d] == 1 {
		return append(out, from[:t.Shape[d]*size]...)
	}
	for i := range t.Shape[d] {
		out = t.gather(out, from[i*t.Stride[d]*size:], d+1)
	}
	return out
}

func (t *Tensor) contiguous() bool {
	want := int64(1)
	for d := len(t.Shape) - 1; d >= 0; d-- {
		if t.Shape[d] != 1 && t.Stride[d] != want {
			return false
		}
		want *= t.Shape[d]
	}
	return true
}

// check makes sure that every element lies inside the storage, so that data cannot go wrong.
func (t *Tensor) check() error {
	if t.unsupported != "" {
		return nil
	}
	n, err := weights.ByteSize(t.DType, t.Shape)
	if err != nil || n == 0 {
		return err
	}
	last := uint64(t.Offset)
	for d, s := range t.Shape {
		hi, reach := bits.Mul64(uint64(s-1), uint64(t.Stride[d]))
		sum, carry := bits.Add64(last, reach, 0)
		if hi != 0 || carry != 0 || sum >= 1<<62 {
			return fmt.Errorf("shape %v with strides %v reaches beyond any storage", t.Shape, t.Stride)
		}
		last = sum
	}
	if have := t.Storage.Len; last >= uint64(have) {
		return fmt.Errorf("shape %v with strides %v from element %d needs %d elements, but storage %s has %d",
			t.Shape, t.Stride, t.Offset, last+1, shorten(t.Storage.Key), have)
	}
	return nil
}

// storageTypes are the classes by which a pickle names the element type of a storage.
var storageTypes = map[string]weights.DType{
	"DoubleStorage": weights.F64, "FloatStorage": weights.F32, "HalfStorage": weights.F16, "BFloat16Storage": weights.BF16,
	"LongStorage": weights.I64, "IntStorage": weights.I32, "ShortStorage": weights.I16, "CharStorage": weights.I8,
	"ByteStorage": weights.U8, "BoolStorage": weights.Bool, "UntypedStorage": weights.U8, "_UntypedStorage": weights.U8,
}

// torchTypes are the names of element types in the module torch.
var torchTypes = map[string]weights.DType{
	"float64": weights.F64, "double": weights.F64, "float32": weights.F32, "float": weights.F32, "float16": weights.F16,
	"half": weights.F16, "bfloat16": weights.BF16, "int64": weights.I64, "long": weights.I64, "int32": weights.I32,
	"int": weights.I32, "int16": weights.I16, "short": weights.I16, "int8": weights.I8, "uint8": weights.U8,
	"bool": weights.Bool,
}

// rebuildTensor answers _rebuild_tensor(storage, offset, size, stride) and _v2, which adds requires_grad and hooks.
func rebuildTensor(m *machine, args Tuple) (any, error) {
	s, err := arg[*Storage](args, 0, "a storage")
	if err != nil {
		return nil, err
	}
	t := &Tensor{Storage: s, DType: s.DType, unsupported: s.unsupported}
	if t.Offset, err = arg[int64](args, 1, "an offset"); err != nil {
		return nil, err
	}
	if t.Shape, err = m.ints(args, 2); err != nil {
		return nil, err
	}
	if t.Stride, err = m.ints(args, 3); err != nil {
		return nil, err
	}
	if len(t.Shape) != len(t.Stride) || len(t.Shape) > 64 {
		return nil, fmt.Errorf("%d sizes and %d strides, want the same number up to 64", len(t.Shape), len(t.Stride))
	}
	if t.Offset < 0 {
		return nil, fmt.Errorf("offset %d is negative", t.Offset)
	}
	if i := slices.IndexFunc(t.Stride, func(v int64) bool { return v < 0 }); i >= 0 {
		return nil, fmt.Errorf("strides %v: negative stride %d", t.Stride, t.Stride[i])
	}
	if len(args) > 4 {
		t.RequiresGrad, _ = args[4].(bool)
	}
	return t, t.check()
}

// rebuildTensorV3 answers _rebuild_tensor_v3(untyped storage, offset, size, stride, requires_grad, hooks, dtype):
// the offset and strides count elements of dtype.
func rebuildTensorV3(m *machine, args Tuple) (any, error) {
	untyped, err := arg[*Storage](args, 0, "a storage")
	if err != nil {
		return nil, err
	}
	dtype, err := arg[Global](args, 6, "a dtype")
	if err != nil {
		return nil, err
	}
	if untyped.DType != weights.U8 {
		return nil, fmt.Errorf("a storage of %v, want an untyped one", untyped.DType)
	}
	typed := &Storage{Key: untyped.Key, DType: torchTypes[dtype.Name], root: untyped}
	if typed.DType == 0 {
		typed.unsupported = "dtype " + shorten(dtype.String())
	} else {
		typed.Len = untyped.Len / int64(typed.DType.Size())
	}
	return rebuildTensor(m, append(Tuple{typed}, args[1:6]...))
}

func (m *machine) ints(args Tuple, i int) ([]int64, error) {
	if i >= len(args) {
		return nil, fmt.Errorf("%d arguments, want a tuple of numbers as number %d", len(args), i+1)
	}
	v, err := m.items(args[i : i+1])
	if err != nil {
		return nil, err
	}
	if len(v) > 64 {
		return nil, fmt.Errorf("%d dimensions, want at most 64", len(v))
	}
	out := make([]int64, len(v))
	for j, x := range v {
		n, ok := x.(int64)
		if !ok {
			return nil, fmt.Errorf("argument %d holds %s, want numbers", i+1, describe(x))
		}
		out[j] = n
	}
	return out, nil
}

// rebuildParameter answers _rebuild_parameter(data, requires_grad, hooks).
func rebuildParameter(_ *machine, args Tuple) (any, error) {
	data, err := arg[*Tensor](args, 0, "a tensor")
	if err != nil {
		return nil, err
	}
	p := *data
	p.Parameter = true
	if len(args) > 1 {
		p.RequiresGrad, _ = args[1].(bool)
	}
	return &p, nil
}

// rebuildFromType answers _rebuild_from_type_v2(function, class, arguments, state): a tensor with attributes, or of a
// subclass, whose class is not kept.
func rebuildFromType(m *machine, args Tuple) (any, error) {
	f, err := arg[Global](args, 0, "a function")
	if err != nil {
		return nil, err
	}
	inner, err := arg[Tuple](args, 2, "arguments")
	if err != nil {
		return nil, err
	}
	var v any
	switch f.String() { // not any call: one that names itself would never end
	case "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2":
		v, err = rebuildTensor(m, inner)
	case "torch._utils._rebuild_tensor_v3":
		v, err = rebuildTensorV3(m, inner)
	case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
		v, err = rebuildParameter(m, inner)
	default:
		return nil, refuse(f.String())
	}
	if err != nil {
		return nil, err
	}
	t, ok := v.(*Tensor)
	if !ok {
		return nil, errors.New("no tensor")
	}
	if len(args) > 3 {
		t.Attrs = args[3]
	}
	return t, nil
}
