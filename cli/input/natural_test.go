package input

import (
	"slices"
	"testing"
)

func TestNatural(t *testing.T) {
	want := []string{"", "2", "10", "a", "a1", "a01", "a1b", "a2", "a10", "a10b2", "a10b10", "b", "p9.jpg", "p10.jpg",
		"p99999999999999999999999", "p100000000000000000000000"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Natural)
	slices.Sort(got[4:6]) // "a1" and "a01" are the same number
	slices.Sort(want[4:6])
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzNatural(f *testing.F) {
	f.Add("p2", "p10", "p010")
	f.Add("a1b", "a01", "a")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		sign := func(x, y string) int { n := Natural(x, y); return min(max(n, -1), 1) }
		if sign(a, b) != -sign(b, a) || (sign(a, b) == 0) != (a == b) {
			t.Errorf("%q, %q: %d and %d", a, b, sign(a, b), sign(b, a))
		}
		if sign(a, b) < 0 && sign(b, c) < 0 && sign(a, c) >= 0 {
			t.Errorf("%q < %q < %q, but not %q < %q", a, b, c, a, c)
		}
	})
}
