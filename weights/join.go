package weights

import (
	"errors"
	"fmt"
)

// Joined shows several sources as one, such as the shards of a model.
type Joined struct {
	sources []Source
	names   []string
	owner   map[string]Source
}

// Join shows sources as one, in their order. A name that two of them hold is an error. The view owns them: closing it
// closes all. Its metadata are those of the first.
func Join(sources ...Source) (*Joined, error) {
	j := &Joined{sources: sources, owner: map[string]Source{}}
	for _, s := range sources {
		for _, n := range s.Names() {
			if j.owner[n] != nil {
				return nil, fmt.Errorf("join weights: tensor %q is in two files", n)
			}
			j.owner[n] = s
			j.names = append(j.names, n)
		}
	}
	return j, nil
}

// Names returns the names of all sources, one source after the other.
func (j *Joined) Names() []string { return append([]string{}, j.names...) }

// Tensor returns a tensor by its name.
func (j *Joined) Tensor(name string) (NamedTensor, error) { return j.get(name, Source.Tensor) }

// Describe returns type and shape of a tensor by its name.
func (j *Joined) Describe(name string) (NamedTensor, error) { return j.get(name, Describe) }

func (j *Joined) get(name string, get func(Source, string) (NamedTensor, error)) (NamedTensor, error) {
	s := j.owner[name]
	if s == nil {
		return NamedTensor{}, fmt.Errorf("tensor %q: %w", name, ErrNotFound)
	}
	return get(s, name)
}

// Metadata returns a copy of the first source's.
func (j *Joined) Metadata() map[string]string {
	if len(j.sources) == 0 {
		return map[string]string{}
	}
	return j.sources[0].Metadata()
}

// Close closes every source.
func (j *Joined) Close() error {
	var errs []error
	for _, s := range j.sources {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
