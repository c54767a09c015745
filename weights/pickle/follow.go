package pickle

// Follow goes along the attributes of nested records and gives the last one; false where one is not there, or is of
// another type than T.
func Follow[T any](v any, names ...string) (t T, ok bool) {
	for _, name := range names {
		r, isRecord := v.(*Record)
		if !isRecord {
			return t, false
		}
		v, _ = r.Attr(name)
	}
	t, ok = v.(T)
	return t, ok
}
