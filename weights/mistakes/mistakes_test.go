package mistakes

import (
	"errors"
	"io/fs"
	"math"
	"testing"
)

func TestNothingWrong(t *testing.T) {
	var l List
	l.Add(nil)
	l.Check(true, "never said")
	l.Positive("width", 1)
	l.AtLeast(0, "memory", 0)
	l.Share("dropout", 0)
	l.Divides("heads", 6, 48)
	l.OneOf("monitor", "cider", "cider")
	if err := l.Err("config"); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestEverythingIsSaid(t *testing.T) {
	var l List
	l.Positive("width", 0)
	l.AtLeast(4, "positions", 3)
	l.Share("dropout", 1)
	l.Share("warmth", math.NaN())
	l.OneOf("monitor", "luck", "cider", "bleu4", "val_loss")
	l.Check(false, "heads: found %d", 7)
	l.Divides("num_heads", 7, 48)
	l.Divides("num_heads", 0, 1)
	l.Add(nil, fs.ErrNotExist)
	err := l.Err("config")
	const want = "config: width: found 0, want 1 or more\npositions: found 3, want 4 or more\n" +
		"dropout: found 1, want 0 to less than 1\nwarmth: found NaN, want 0 to less than 1\n" +
		"monitor: found \"luck\", want cider, bleu4 or val_loss\nheads: found 7\n" +
		"num_heads: found 7, want a divisor of 48 channels\nnum_heads: found 0, want a divisor of 1 channel\n" +
		"file does not exist"
	if err == nil || err.Error() != want || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %s", err, want)
	}
}
