package encoder

import (
	"errors"
	"testing"
)

// A number of heads is what the files say, what the user gives, or what is usual, and is asked for where there is none.
func TestHeadsChoose(t *testing.T) {
	named := func(p Part, n int64) *Heads { return &Heads{Of: map[Part]int64{p: n}} }
	for _, tt := range []struct {
		name               string
		heads              *Heads
		part               Part
		width, said, usual int64
		want               int64 // 0: an error
	}{
		{"said", nil, EncoderPart, 96, 6, 0, 6},
		{"usual", nil, EncoderPart, 128, 0, 2, 2},
		{"unknown", nil, EncoderPart, 96, 0, 0, 0},
		{"named", named(EncoderPart, 6), EncoderPart, 96, 0, 0, 6},
		{"named against the usual", named(EncoderPart, 4), EncoderPart, 128, 0, 2, 4},
		{"named against what is said", named(EncoderPart, 4), EncoderPart, 128, 2, 2, 0},
		{"named as it is said", named(EncoderPart, 2), EncoderPart, 128, 2, 2, 2},
		{"another part", named(DecoderPart, 4), EncoderPart, 96, 0, 0, 0},
		{"any, unknown", &Heads{Any: 6}, DecoderPart, 96, 0, 0, 6},
		{"any, an encoder's usual", &Heads{Any: 4}, EncoderPart, 128, 0, 2, 4},
		{"any, a decoder's usual", &Heads{Any: 4}, DecoderPart, 128, 0, 2, 2},
		{"any, said", &Heads{Any: 4}, EncoderPart, 128, 2, 2, 2},
		{"any, a tower of CLIP's", &Heads{Any: 4}, TextPart, 96, 0, 0, 0},
		{"no divisor", named(EncoderPart, 5), EncoderPart, 96, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := tt.heads.Choose(tt.part, tt.width, tt.said, tt.usual)
			if n != tt.want || (err != nil) != (tt.want == 0) {
				t.Errorf("got %d and %v, want %d", n, err, tt.want)
			}
		})
	}
}

// One number is not taken by two parts, and not left unused in silence.
func TestHeadsOfTwoParts(t *testing.T) {
	h := &Heads{Any: 6}
	if err := h.Unused(EncoderPart, DecoderPart); err == nil {
		t.Error("unused: got no error")
	}
	if _, err := h.Choose(DecoderPart, 96, 0, 0); err != nil {
		t.Fatal(err)
	}
	var unclear *HeadsUnclearError
	if _, err := h.Choose(EncoderPart, 96, 0, 0); !errors.As(err, &unclear) {
		t.Errorf("a second part: got %v, want a HeadsUnclearError", err)
	}
	if err := h.Unused(EncoderPart, DecoderPart); err != nil {
		t.Errorf("used: got %v", err)
	}
}
