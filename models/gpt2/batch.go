package gpt2

import (
	"errors"
	"fmt"

	"captioner/torch"
)

// Ignore is the target of a token whose prediction counts for nothing.
const Ignore = -100

// Batch is captions as tensors, B rows of at most T tokens. The tensors belong to the scope in which the batch was made.
type Batch struct {
	Rows, Len int64         // B, T
	Tokens    *torch.Tensor // [N] int64, row after row
	Positions *torch.Tensor // [N] int64, counted from 0 in each row
	Targets   *torch.Tensor // [N] int64, the token after each, or Ignore
	Places    *torch.Tensor // [N] int64, where each token stands in B*T; nil where N = B*T
	Mask      *torch.Tensor // [B, T] bool, the tokens that may be looked at; nil for all
}

// Pack makes a batch without padding: N is the number of tokens fed. Each row holds at least two ids, the first of which is only fed and the
// last of which is only predicted (beginning and end of the text).
func Pack(rows [][]int32, dev torch.Device) (*Batch, error) {
	length, err := longest(rows)
	if err != nil {
		return nil, err
	}
	var tokens, positions, targets, places []int64
	for r, row := range rows {
		for t := range len(row) - 1 {
			tokens = append(tokens, int64(row[t]))
			targets = append(targets, int64(row[t+1]))
			positions = append(positions, int64(t))
			places = append(places, int64(r*length+t))
		}
	}
	b := &Batch{Rows: int64(len(rows)), Len: int64(length), Tokens: put(tokens, dev), Positions: put(positions, dev), Targets: put(targets, dev)}
	if len(tokens) < len(rows)*length {
		b.Places = put(places, dev)
	}
	return b, nil
}

// Padding says what Pad does with the places behind the end of a row.
type Padding struct {
	Token  int32 // fed there
	Target int64 // wanted there: Ignore, or a token whose prediction is to count, as some reference implementations do
	Mask   bool  // hide them from attention; without it only causality hides them from the row's own tokens
}

// Pad makes the plain padded batch, N = B*T, from rows as Pack takes them.
func Pad(rows [][]int32, p Padding, dev torch.Device) (*Batch, error) {
	length, err := longest(rows)
	if err != nil {
		return nil, err
	}
	n := len(rows) * length
	tokens, positions, targets, seen := make([]int64, n), make([]int64, n), make([]int64, n), make([]bool, n)
	for r, row := range rows {
		for t := range length {
			i := r*length + t
			positions[i] = int64(t)
			tokens[i], targets[i] = int64(p.Token), p.Target
			if t < len(row)-1 {
				tokens[i], targets[i], seen[i] = int64(row[t]), int64(row[t+1]), true
			}
		}
	}
	b := &Batch{Rows: int64(len(rows)), Len: int64(length), Tokens: put(tokens, dev), Positions: put(positions, dev), Targets: put(targets, dev)}
	if p.Mask {
		b.Mask = torch.FromSlice(seen, b.Rows, b.Len)
		if dev != torch.CPU {
			b.Mask = b.Mask.ToDevice(dev)
		}
	}
	return b, nil
}

// longest is the largest number of tokens that a row feeds.
func longest(rows [][]int32) (int, error) {
	if len(rows) == 0 {
		return 0, errors.New("gpt2 batch: no rows")
	}
	n := 0
	for r, row := range rows {
		if len(row) < 2 {
			return 0, fmt.Errorf("gpt2 batch: row %d has %d tokens, want 2 or more", r, len(row))
		}
		n = max(n, len(row)-1)
	}
	return n, nil
}

func put(v []int64, dev torch.Device) *torch.Tensor {
	t := torch.FromSlice(v)
	if dev != torch.CPU {
		t = t.ToDevice(dev)
	}
	return t
}
