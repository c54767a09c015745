package kvcache

// Key is what the sessions of two batches must have in common to use the same tensors.
type Key struct {
	Shape
	Positions int64 // of the memory
}

// Ended is a session that a later batch may use.
type Ended interface{ Release() }

// Idle keeps the last session of a decoder whose cache is of fixed size, for the next batch of the same shape: the
// graphs of its steps are worth their making only where many batches use them. The zero value is ready. Inside
// torch.Do.
type Idle[S Ended] struct {
	last    Key // of the batch before
	key     Key
	session S
	kept    bool
}

// Begin gives the session of a batch: the one that is kept, or a new one that fresh makes, whose cache is of fixed size
// where the batch before had the same shape. begin fills it with what the batch has, in tensors that are there already
// or of the shape that it is given. A batch of half the images, after which larger ones may not fit the GPU any more,
// drops what is kept.
func (i *Idle[S]) Begin(key Key, fresh func() S, begin func(S, Shape)) S {
	shape, again := key.Shape, i.last == key
	i.last = key
	switch {
	case !Recordable(shape.Device, shape.Length):
		i.Drop()
	case i.kept && i.key == key:
		begin(i.session, shape)
		s := i.session
		i.take()
		return s
	default:
		if i.kept && (again || 2*shape.Images <= i.key.Images) {
			i.Drop()
		}
		shape.Fixed = again
	}
	return Begin(fresh(), func(s S) { begin(s, shape) })
}

// Begin fills a new session. Where that fails, it releases what it has: what a GPU has no memory for must not keep the
// memory of the rest.
func Begin[S Ended](s S, begin func(S)) S {
	begun := false
	defer func() {
		if !begun {
			s.Release()
		}
	}()
	begin(s)
	begun = true
	return s
}

func (i *Idle[S]) take() {
	var none S
	i.session, i.kept = none, false
}

// End ends a session over c. Its tensors stay, in the place of another's, where the next batch may use them: not behind
// a step that broke off.
func (i *Idle[S]) End(key Key, s S, c *Cache, broken bool) {
	if c.fixed == nil || broken {
		s.Release()
		return
	}
	i.Drop()
	i.key, i.session, i.kept = key, s, true
}

// Drop releases what is kept.
func (i *Idle[S]) Drop() {
	if i.kept {
		i.session.Release()
		i.take()
	}
}
