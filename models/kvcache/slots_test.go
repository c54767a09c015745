package kvcache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// cacheModel is a cache of texts instead of tensors.
type cacheModel struct {
	rows, images []string
}

func (c *cacheModel) apply(m moves, rows int) {
	for len(c.rows) < rows {
		c.rows = append(c.rows, "unset")
	}
	copyTexts := func(v []string, from, to []int64) {
		var read []string
		for _, f := range from {
			read = append(read, v[f])
		}
		for i, t := range to {
			v[t] = read[i]
		}
	}
	copyTexts(c.rows, m.rows, m.rowsTo)
	copyTexts(c.images, m.images, m.imagesTo)
}

// randomParents draws the parents of a step of width rows an image, of texts that each belong to an image; about one
// image in five ends.
func randomParents(rng *rand.Rand, images, oldWidth, width int) (parents []int32, alive []int) {
	for i := range images {
		if images > 1 && rng.IntN(5) == 0 && !(i == images-1 && len(alive) == 0) {
			continue
		}
		alive = append(alive, i)
		for range width {
			parents = append(parents, int32(i*oldWidth+rng.IntN(oldWidth)))
		}
	}
	return parents, alive
}

func TestSlotsFollowTheTexts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		images := 1 + rng.IntN(6)
		p, c := firstSlots(images), &cacheModel{}
		var texts, names []string // of the rows and of the images, in the caller's order
		for i := range images {
			c.rows, c.images = append(c.rows, fmt.Sprint(i)), append(c.images, fmt.Sprint(i))
			texts, names = append(texts, fmt.Sprint(i)), append(names, fmt.Sprint(i))
		}
		for step := range 8 {
			width := p.width
			if step == 0 || rng.IntN(6) == 0 {
				width = 1 + rng.IntN(4)
			}
			parents, alive := randomParents(rng, len(names), p.width, width)
			next, m, err := p.next(parents)
			if err != nil {
				t.Fatal(err)
			}
			c.apply(m, len(parents))
			var now, nowNames []string
			for r, parent := range parents {
				now = append(now, texts[parent])
				if got, want := c.rows[next.row[r]], texts[parent]; got != want {
					t.Fatalf("step %d, parents %v of %+v: row %d: got text %q, want %q", step, parents, p, r, got, want)
				}
				if s := next.row[r] / next.width; s != next.image[r/width] {
					t.Fatalf("row %d stands with image %d, want %d", r, s, next.image[r/width])
				}
			}
			for i, old := range alive {
				nowNames = append(nowNames, names[old])
				if got, want := c.images[next.image[i]], names[old]; got != want {
					t.Fatalf("step %d, parents %v of %+v: image %d: got %q, want %q", step, parents, p, i, got, want)
				}
			}
			if used := slices.Sorted(slices.Values(next.row)); used[0] != 0 || used[len(used)-1] != len(parents)-1 {
				t.Fatalf("got rows %v, want the first %d of the cache", used, len(parents))
			}
			for r := range now { // this step writes: texts of one parent part
				now[r] += fmt.Sprintf(",%d", r)
				c.rows[next.row[r]] = now[r]
			}
			p, texts, names = next, now, nowNames
		}
	}
}

func TestSlotsCopyOnlyWhatTheyMust(t *testing.T) {
	start, _, err := firstSlots(3).next([]int32{0, 0, 0, 1, 1, 1, 2, 2, 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name         string
		parents      []int32
		rows, images int
	}{
		{"all go on", []int32{0, 1, 2, 3, 4, 5, 6, 7, 8}, 0, 0},
		{"other order", []int32{2, 0, 1, 5, 4, 3, 6, 8, 7}, 0, 0},
		{"one row ends in an image", []int32{0, 0, 2, 3, 4, 5, 6, 7, 8}, 1, 0},
		{"one row is left in an image", []int32{0, 1, 2, 4, 4, 4, 6, 7, 8}, 2, 0},
		{"last image ends", []int32{0, 1, 2, 3, 4, 5}, 0, 0},
		{"first image ends, the last takes its place", []int32{3, 4, 5, 6, 7, 8}, 3, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, m, err := start.next(tt.parents)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.rows) != tt.rows || len(m.images) != tt.images {
				t.Errorf("got %d rows and %d images copied, want %d and %d", len(m.rows), len(m.images), tt.rows, tt.images)
			}
		})
	}
}

func TestSlotsRefuse(t *testing.T) {
	p, _, err := firstSlots(2).next([]int32{0, 0, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		parents []int32
		want    string
	}{
		{[]int32{0, 4}, "row 1 continues row 4 of 4"},
		{[]int32{-1}, "row 0 continues row -1"},
		{[]int32{2, 0}, "want images in order"},
		{[]int32{0, 1, 2}, "want as many each"},
		{[]int32{}, "no rows"},
	} {
		if _, _, err := p.next(tt.parents); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("parents %v: got %v, want %q in it", tt.parents, err, tt.want)
		}
	}
}
