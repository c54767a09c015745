package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"captioner/cli/cloud"
	"captioner/cli/console"
	"captioner/cli/input"
	"captioner/cli/output"
	"captioner/weights"
)

// Merge is output.Merge where parts, or the output, are objects in a cloud: the parts are fetched, also by a pattern of
// their names, and the output is written when it is whole.
func Merge(ctx context.Context, con *console.Console, o output.MergeOptions) error {
	if !cloud.Is(o.Out) && !slices.ContainsFunc(o.Parts, cloud.Is) {
		return output.Merge(con, o)
	}
	store := new(cloud.Store)
	defer store.Close()
	folder, err := os.MkdirTemp("", "captioner-merge-*")
	if err != nil {
		return weights.Reason(err)
	}
	defer os.RemoveAll(folder)
	m := objectMerge{ctx: ctx, store: store, folder: folder}
	if o.Parts, err = m.fetch(o.Parts); err != nil {
		return err
	}
	if !cloud.Is(o.Out) {
		return output.Merge(con, o)
	}
	return m.merge(con, o)
}

// objectMerge is a merge of objects.
type objectMerge struct {
	ctx    context.Context
	store  *cloud.Store
	folder string
}

// fetch fetches the parts that are objects.
func (m *objectMerge) fetch(parts []string) (files []string, err error) {
	for _, part := range parts {
		if !cloud.Is(part) {
			files = append(files, part)
			continue
		}
		more, err := m.part(part)
		if err != nil {
			return nil, fmt.Errorf("merge %q: %w", part, err)
		}
		files = append(files, more...)
	}
	return files, nil
}

// part fetches one, or those that match its pattern, in natural order.
func (m *objectMerge) part(address string) (files []string, err error) {
	p, err := cloud.Parse(address)
	if err != nil {
		return nil, err
	}
	places := []cloud.Place{p}
	if p.IsPattern() {
		places = nil
		for o, err := range m.store.Glob(m.ctx, p) {
			if err != nil {
				return nil, err
			}
			places = append(places, o.Place)
		}
		slices.SortFunc(places, func(a, b cloud.Place) int { return input.Natural(a.Key, b.Key) })
	}
	if len(places) == 0 {
		return nil, errors.New("nothing matches the pattern")
	}
	for _, p := range places {
		file, err := m.file(p)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// file fetches an object into a file of its name, each in a folder of its own.
func (m *objectMerge) file(p cloud.Place) (string, error) {
	folder, err := os.MkdirTemp(m.folder, "*")
	if err != nil {
		return "", weights.Reason(err)
	}
	name := filepath.Join(folder, path.Base(p.Key))
	f, err := os.Create(name)
	if err != nil {
		return "", weights.Reason(err)
	}
	_, err = m.store.Copy(m.ctx, p, f, 1<<62)
	return name, errors.Join(err, f.Close())
}

// merge writes an object.
func (m *objectMerge) merge(con *console.Console, o output.MergeOptions) error {
	p, err := cloud.Parse(o.Out)
	if err != nil {
		return &weights.FileError{Doing: "write", File: o.Out, Err: err}
	}
	missing := new(cloud.NotFoundError)
	if _, err := m.store.Stat(m.ctx, p); err == nil && !o.Overwrite {
		return console.Usagef("--overwrite replaces it; or give another name", "--out %q is there already", p)
	} else if err != nil && (!errors.As(err, &missing) || missing.Bucket) {
		return &weights.FileError{Doing: "write", File: p.String(), Err: err}
	}
	o.Shown, o.Out = p.String(), filepath.Join(m.folder, path.Base(p.Key))
	if err := output.Merge(con, o); err != nil {
		return err
	}
	f, err := os.Open(o.Out)
	if err != nil {
		return weights.Reason(err)
	}
	defer f.Close()
	if err := m.store.Write(m.ctx, p, f, !o.Overwrite); err != nil {
		return &weights.FileError{Doing: "write", File: p.String(), Err: err}
	}
	return nil
}
