package image

// Plain is what is wrong with a file in words for people who do not know its format: "empty file", "the JPEG is cut
// short".
func (e *Error) Plain() string {
	name := e.Format
	if name == "" {
		name = "image"
	}
	switch e.Reason {
	case ErrEmpty:
		return "empty file"
	case ErrTruncated:
		return "the " + name + " is cut short"
	case ErrCorrupt:
		return "the " + name + " is damaged: " + e.Detail
	case ErrTooLarge:
		return "too large: " + e.Detail
	case ErrNotRegular:
		return "it is a " + e.Detail + ", want a file"
	case ErrUnsupported:
		if e.Format == "" {
			return e.Detail
		}
		return "a kind of " + e.Format + " that is not read: " + e.Detail
	}
	return e.Error()
}
