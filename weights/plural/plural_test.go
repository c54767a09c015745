package plural

import "testing"

func TestCount(t *testing.T) {
	for _, tc := range []struct {
		n    int
		one  string
		want string
	}{
		{0, "image", "0 images"},
		{1, "image", "1 image"},
		{2, "image", "2 images"},
		{1234567, "caption", "1,234,567 captions"},
		{1, "batch", "1 batch"},
		{2, "batch", "2 batches"},
		{2, "entry", "2 entries"},
		{2, "process", "2 processes"},
	} {
		if got := Count(tc.n, tc.one); got != tc.want {
			t.Errorf("%d %s: got %q, want %q", tc.n, tc.one, got, tc.want)
		}
	}
}
