package kvcache

import "fmt"

// slots says where the rows of a step stand in the cache. The caller's rows may stand in another order there, so that
// a row that goes on needs no copy: of the children of a row the first stays, and only its siblings are copied, into
// rows that nobody continues. An image that ends leaves a hole, which the last image fills. The rows of the image
// that stands as number s are s*width … s*width+width-1.
type slots struct {
	width int   // rows an image
	image []int // for each image that is alive, in the caller's order, as which it stands
	row   []int // for each row, in the caller's order, which row of the cache it is
}

// moves are copies inside the cache: all sources are read before any target is written.
type moves struct{ rows, rowsTo, images, imagesTo []int64 }

// firstSlots has one row an image.
func firstSlots(images int) slots {
	p := slots{width: 1}
	for i := range images {
		p.image, p.row = append(p.image, i), append(p.row, i)
	}
	return p
}

// next gives the slots of the step whose row r continues row parents[r], and the copies that it needs.
func (p slots) next(parents []int32) (slots, moves, error) {
	images, err := p.survivors(parents)
	if err != nil {
		return p, moves{}, err
	}
	n := slots{width: len(parents) / len(images), row: make([]int, len(parents))}
	var m moves
	if n.width == p.width {
		n.image = p.fillHoles(images)
	} else {
		for i := range images {
			n.image = append(n.image, i)
		}
	}
	for i, old := range images {
		from, to := p.image[old], n.image[i]
		if from != to {
			m.images, m.imagesTo = append(m.images, int64(from)), append(m.imagesTo, int64(to))
		}
		children := parents[i*n.width : (i+1)*n.width]
		p.assignRows(children, n.row[i*n.width:(i+1)*n.width], to*n.width, from == to && n.width == p.width, &m)
	}
	return n, m, nil
}

// survivors lists the images that go on, by their number in p, and checks what the caller promises.
func (p slots) survivors(parents []int32) ([]int, error) {
	var images []int
	sizes := map[int]int{}
	for r, parent := range parents {
		if parent < 0 || int(parent) >= len(p.row) {
			return nil, fmt.Errorf("decoder step: row %d continues row %d of %d", r, parent, len(p.row))
		}
		image := int(parent) / p.width
		if len(images) == 0 || images[len(images)-1] < image {
			images = append(images, image)
		} else if images[len(images)-1] != image {
			const message = "decoder step: row %d continues image %d after image %d, want images in order"
			return nil, fmt.Errorf(message, r, image, images[len(images)-1])
		}
		sizes[image]++
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("decoder step: no rows")
	}
	for _, image := range images {
		if sizes[image] != sizes[images[0]] {
			const message = "decoder step: image %d has %d rows, image %d has %d, want as many each"
			return nil, fmt.Errorf(message, images[0], sizes[images[0]], image, sizes[image])
		}
	}
	return images, nil
}

// fillHoles gives each image that goes on its old slot where that is below their number, and a free one there
// otherwise.
func (p slots) fillHoles(images []int) []int {
	taken := make([]bool, len(images))
	for _, old := range images {
		if s := p.image[old]; s < len(images) {
			taken[s] = true
		}
	}
	out, free := make([]int, len(images)), 0
	for i, old := range images {
		out[i] = p.image[old]
		if out[i] >= len(images) {
			for taken[free] {
				free++
			}
			out[i], taken[free] = free, true
		}
	}
	return out
}

// assignRows finds the rows of one image, whose first row in the cache is base. With stay the image does not move,
// and the first child of each row stays where its parent was.
func (p slots) assignRows(children []int32, out []int, base int, stay bool, m *moves) {
	taken := make([]bool, len(children))
	placed := make([]bool, len(children))
	if stay {
		for c, parent := range children {
			if s := p.row[parent] - base; !taken[s] {
				out[c], taken[s], placed[c] = base+s, true, true
			}
		}
	}
	free := 0
	for c, parent := range children {
		if placed[c] {
			continue
		}
		for taken[free] {
			free++
		}
		out[c], taken[free] = base+free, true
		if from := p.row[parent]; from != out[c] {
			m.rows, m.rowsTo = append(m.rows, int64(from)), append(m.rowsTo, int64(out[c]))
		}
	}
}
