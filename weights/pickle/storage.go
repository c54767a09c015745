package pickle

import (
	"errors"
	"fmt"
	"math/big"

	"captioner/weights"
)

// storages resolves the references of a pickle to its storages. In an archive the data is at hand (load); in a legacy
// stream it follows the pickle, and fill gives it afterwards.
type storages struct {
	byKey map[string]*Storage
	load  func(key string) ([]byte, error) // nil for a legacy stream
}

// persistent answers a persistent id: ('storage', class, key, location, number of elements[, view]).
func (s *storages) persistent(id any) (any, error) {
	t, ok := id.(Tuple)
	if !ok || len(t) == 0 {
		return nil, fmt.Errorf("a reference by %s, want a tuple", describe(id))
	}
	switch t[0] {
	case "storage":
		return s.storage(t)
	case "module": // a class with its source text, which legacy files carry along
		return arg[any](t, 1, "a class")
	}
	return nil, errors.New("a reference to something that is no storage")
}

func (s *storages) storage(id Tuple) (any, error) {
	class, err := arg[Global](id, 1, "a class")
	if err != nil {
		return nil, err
	}
	key, err := storageKey(id)
	if err != nil {
		return nil, err
	}
	n, err := arg[int64](id, 4, "a number of elements")
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, fmt.Errorf("storage %s: %d elements", shorten(key), n)
	}
	root, err := s.get(key, class, n)
	if err != nil || len(id) < 6 || id[5] == nil {
		return root, err
	}
	return s.view(root, id[5])
}

// storageKey returns the key as text; very old files use numbers.
func storageKey(id Tuple) (string, error) {
	if len(id) > 2 {
		switch k := id[2].(type) {
		case string:
			return k, nil
		case int64, *big.Int:
			return fmt.Sprint(k), nil
		}
	}
	return "", errors.New("a storage without a key")
}

func (s *storages) get(key string, class Global, n int64) (*Storage, error) {
	dtype := storageTypes[class.Name]
	unsupported := ""
	if dtype == 0 {
		unsupported = "storage class " + shorten(class.String())
	}
	if have, ok := s.byKey[key]; ok {
		if have.DType == dtype && have.Len == n {
			return have, nil
		}
		if s.load == nil {
			return nil, fmt.Errorf("storage %s: named with two types or lengths", shorten(key))
		}
	}
	st := &Storage{Key: key, DType: dtype, Len: n, unsupported: unsupported}
	if s.load != nil {
		if err := s.attach(st); err != nil {
			return nil, err
		}
	}
	s.byKey[key] = st
	return st, nil
}

// attach gives a storage of an archive its data and checks the length.
func (s *storages) attach(st *Storage) error {
	data, err := s.load(st.Key)
	if err != nil {
		return err
	}
	if st.DType == 0 { // its data cannot be handed out
		return nil
	}
	want, err := weights.ByteSize(st.DType, []int64{st.Len})
	if err != nil || want > int64(len(data)) {
		return fmt.Errorf("storage %s: %d bytes in the file, too few for %d elements of %v", shorten(st.Key), len(data),
			st.Len, st.DType)
	}
	st.data = data[:want:want]
	return nil
}

// view answers the view of another storage, (key, offset, length), by which legacy files describe shared storages.
func (s *storages) view(root *Storage, v any) (*Storage, error) {
	t, ok := v.(Tuple)
	if !ok {
		return nil, fmt.Errorf("a view by %s, want a tuple", describe(v))
	}
	offset, err := arg[int64](t, 1, "an offset")
	if err != nil {
		return nil, err
	}
	n, err := arg[int64](t, 2, "a length")
	if err != nil {
		return nil, err
	}
	if offset < 0 || n < 0 || offset > root.Len || n > root.Len-offset {
		return nil, fmt.Errorf("storage %s: a view of %d elements from %d, but it has %d", shorten(root.Key), n, offset,
			root.Len)
	}
	return &Storage{Key: root.Key, DType: root.DType, Len: n, unsupported: root.unsupported, root: root,
		rootOffset: offset}, nil
}

// fill reads the data that follows the pickles of a legacy stream: for each key its number of elements and the
// elements.
func (s *storages) fill(m *machine, keys any) error {
	list, ok := keys.(*List)
	if !ok {
		return fmt.Errorf("the names of the storages are %s, want a list", describe(keys))
	}
	filled := make(map[string]bool, len(s.byKey))
	for _, k := range list.Items {
		key, err := storageKey(Tuple{nil, nil, k})
		if err != nil {
			return err
		}
		st, ok := s.byKey[key]
		if !ok || filled[key] {
			return fmt.Errorf("storage %s: no tensor uses it, or its data comes twice", shorten(key))
		}
		if st.DType == 0 {
			return fmt.Errorf("%s is not supported", st.unsupported)
		}
		n, err := m.uint(8)
		if err != nil {
			return err
		}
		if n != uint64(st.Len) {
			return fmt.Errorf("storage %s: %d elements in the file, want %d", shorten(key), n, st.Len)
		}
		size, err := weights.ByteSize(st.DType, []int64{st.Len})
		if err != nil {
			return err
		}
		if st.data, err = m.take(uint64(size)); err != nil {
			return err
		}
		filled[key] = true
	}
	for key, st := range s.byKey {
		if !filled[key] && st.Len > 0 {
			return fmt.Errorf("storage %s: its data is not in the file", shorten(key))
		}
	}
	return nil
}

// legacyMagic is the integer by which a torch.save stream from before PyTorch 1.6 begins.
var legacyMagic, _ = new(big.Int).SetString("1950a86a20f9469cfc6c", 16)

const legacyProtocol = 1001

// innerStream reads a stream that stands inside a pickle.
func innerStream(b []byte) (any, error) {
	root, _, err := loadStream(newMachine(b, nil))
	return root, err
}

// loadStream reads what a legacy stream, or a bare pickle, holds. It returns the number of bytes that the pickles took.
func loadStream(m *machine) (root any, size int, err error) {
	root, err = m.run()
	if err != nil {
		return nil, 0, err
	}
	if n, ok := root.(*big.Int); !ok || n.Cmp(legacyMagic) != 0 {
		return root, m.pos, nil
	}
	if err := checkPreamble(m); err != nil {
		return nil, 0, err
	}
	s := &storages{byKey: map[string]*Storage{}}
	m.reset()
	m.persistent = s.persistent
	if root, err = m.run(); err != nil {
		return nil, 0, err
	}
	m.reset()
	m.persistent = nil
	keys, err := m.run()
	if err != nil {
		return nil, 0, err
	}
	size = m.pos
	return root, size, s.fill(m, keys)
}

// checkPreamble reads the two pickles between the magic number and the object: a version and the writer's machine.
func checkPreamble(m *machine) error {
	m.reset()
	version, err := m.run()
	if err != nil {
		return err
	}
	if version != int64(legacyProtocol) {
		return fmt.Errorf("version of the legacy format is not %d", legacyProtocol)
	}
	m.reset()
	info, err := m.run()
	if err != nil {
		return err
	}
	d, ok := info.(*Dict)
	if !ok {
		return fmt.Errorf("the writer's description is %s, want a dict", describe(info))
	}
	if little, ok := d.Get("little_endian"); ok && little != true {
		return errors.New("written on a big-endian machine, which is not supported")
	}
	return nil
}

// loadFromBytes answers torch.storage._load_from_bytes: a stream inside the pickle, which is how tensors travel in
// files of Python's own pickle module. It cannot hold another one.
func loadFromBytes(m *machine, args Tuple) (any, error) {
	b, err := arg[Bytes](args, 0, "bytes")
	if err != nil {
		return nil, err
	}
	if m.stream == nil {
		return nil, errors.New("a stream inside a stream inside a stream")
	}
	if err := m.charge(len(b)); err != nil {
		return nil, err
	}
	return m.stream(b)
}
