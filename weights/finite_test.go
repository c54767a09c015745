package weights

import (
	"errors"
	"slices"
	"testing"
)

// Every place of an element is looked at, in every type.
func TestFinite(t *testing.T) {
	for d, bad := range map[DType][][]byte{
		F16:  {{0, 0x7c}, {0, 0xfc}, {1, 0x7e}},
		BF16: {{0x80, 0x7f}, {0x80, 0xff}, {0xc0, 0x7f}},
		F32:  {{0, 0, 0x80, 0x7f}, {0, 0, 0x80, 0xff}, {1, 0, 0x80, 0x7f}},
		F64:  {{0, 0, 0, 0, 0, 0, 0xf0, 0x7f}, {0, 0, 0, 0, 0, 0, 0xf0, 0xff}, {1, 0, 0, 0, 0, 0, 0xf0, 0x7f}},
	} {
		size := d.Size()
		for _, elements := range []int{1, 3, 37} {
			x := NamedTensor{Name: "x", DType: d, Data: slices.Repeat([]byte{0xff}, elements*size)}
			for i := range elements { // the largest finite numbers, with both signs
				x.Data[(i+1)*size-1] = []byte{0x7b, 0xfb}[i%2]
			}
			if bad, all := x.NotFinite(); bad != 0 || all != int64(elements) || x.CheckFinite() != nil {
				t.Errorf("%v: got %d of %d not finite, want none of %d", d, bad, all, elements)
			}
			for i := range elements {
				for _, b := range bad {
					spoiled := x
					spoiled.Data = slices.Clone(x.Data)
					copy(spoiled.Data[i*size:], b)
					var e *NotFiniteError
					if err := spoiled.CheckFinite(); !errors.As(err, &e) || e.Bad != 1 || e.Name != "x" {
						t.Errorf("%v, element %d of %d is %x: got %v, want one that is not finite", d, i, elements, b, err)
					}
				}
			}
		}
	}
	if x := (NamedTensor{DType: I64, Data: slices.Repeat([]byte{0xff}, 16)}); !x.Finite() {
		t.Error("integers are not finite, want them to be")
	}
}

func TestUnused(t *testing.T) {
	all := []string{"h.0.w", "h.1.w", "norm.w"}
	for _, c := range []struct {
		name       string
		unexpected []string
		missing    []string
		unused     bool
	}{
		{name: "a head", unexpected: []string{"head.w"}, unused: true},
		{name: "a list of its own", unexpected: []string{"head.0.w", "head.1.w"}, unused: true},
		{name: "beside the norm's weight", unexpected: []string{"norm.b"}, unused: true},
		{name: "in a layer", unexpected: []string{"head.w", "h.0.adapter.w"}},
		{name: "another layer", unexpected: []string{"h.2.w"}},
		{name: "one is missing", unexpected: []string{"head.w"}, missing: []string{"x"}},
	} {
		e := KeyError{Unexpected: c.unexpected, Missing: c.missing}
		if got := e.Unused(slices.Concat(all, c.unexpected)); slices.Equal(got, c.unexpected) != c.unused {
			t.Errorf("%s: got %q, want it unused: %v", c.name, got, c.unused)
		}
	}
}
