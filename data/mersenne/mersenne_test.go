package mersenne

import "testing"

// The C++ standard ([rand.predef]) names the 10,000th number of mt19937 from its default seed.
func TestTwister(t *testing.T) {
	m := New(5489)
	var got uint32
	for range 10000 {
		got = m.Next()
	}
	if got != 4123659995 {
		t.Errorf("got %d, want 4123659995", got)
	}
	for range 10000 {
		if f := m.Float(); f < 0 || f >= 1 {
			t.Fatalf("got %g, want 0 to less than 1", f)
		}
	}
}
