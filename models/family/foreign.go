package family

import "captioner/models/encoder"

// ForeignError says that a file, a folder or a repository is of a kind that belongs to a model but is none that
// captions, and what to take instead.
type ForeignError = encoder.ForeignError
