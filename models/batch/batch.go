// Package batch is texts as tensors, as decoders learn from them: the tokens that are fed, the tokens that are wanted
// behind each, and where both stand in their rows. It knows no model.
//
// Letters in shapes: B rows, T positions of a row, N tokens of a batch, X channels, V vocabulary. Whatever takes or
// gives tensors runs inside torch.Do.
package batch

import (
	"errors"
	"fmt"

	"captioner/torch"
)

// Ignore is the target of a token whose prediction counts for nothing.
const Ignore = -100

// Texts is B rows of at most T tokens. The tensors belong to the scope in which the batch was made.
type Texts struct {
	Rows, Len int64         // B, T
	Tokens    *torch.Tensor // [N] int64, row after row
	Positions *torch.Tensor // [N] int64, counted from 0 in each row
	Targets   *torch.Tensor // [N] int64, the token after each, or Ignore
	Index     *torch.Tensor // [N] int64, where each token stands in B*T; nil where N = B*T
	Mask      *torch.Tensor // [B, T] bool, the tokens that may be looked at; nil for all
	Starts    *torch.Tensor // [B + 1] int64 on the CPU: row b has the tokens from Starts[b] to Starts[b+1]
	Count     int           // targets that are not Ignore

	shared *shared // of a batch that Share made; N are then other tokens than those of Index and Starts
}

// round is what PackRounded makes the number of tokens a multiple of.
const round = 64

// Pack makes a batch without padding: N is the number of tokens fed. Each row holds at least two ids, the first of
// which is only fed and the last of which is only predicted (beginning and end of the text).
func Pack(rows [][]int32, dev torch.Device) (*Texts, error) { return pack(rows, 1, dev) }

// PackRounded is Pack with a little padding, for training: as many tokens with the target Ignore follow some rows as
// make N a multiple of 64, where B*T allows it. CPU kernels are made for each N that they meet, and kept; so there are
// few to make and to keep.
func PackRounded(rows [][]int32, dev torch.Device) (*Texts, error) { return pack(rows, round, dev) }

func pack(rows [][]int32, multiple int, dev torch.Device) (*Texts, error) {
	length, err := longest(rows)
	if err != nil {
		return nil, err
	}
	count := 0
	for _, row := range rows {
		count += len(row) - 1
	}
	fill := (multiple - count%multiple) % multiple
	var tokens, positions, targets, index []int64
	starts := []int64{0}
	for r, row := range rows {
		for t := range length {
			token, target := int64(0), int64(Ignore)
			switch {
			case t < len(row)-1:
				token, target = int64(row[t]), int64(row[t+1])
			case fill > 0:
				fill--
			default:
				continue
			}
			tokens, targets = append(tokens, token), append(targets, target)
			positions, index = append(positions, int64(t)), append(index, int64(r*length+t))
		}
		starts = append(starts, int64(len(tokens)))
	}
	b := &Texts{
		Rows:      int64(len(rows)),
		Len:       int64(length),
		Tokens:    torch.Upload(tokens, dev),
		Positions: torch.Upload(positions, dev),
		Targets:   torch.Upload(targets, dev),
		Starts:    torch.FromSlice(starts),
		Count:     count,
	}
	if len(tokens) < len(rows)*length {
		b.Index = torch.Upload(index, dev)
	}
	return b, nil
}

// Padding says what Pad does behind the end of a row.
type Padding struct {
	Token  int32 // fed there
	Target int64 // wanted there: Ignore, or a token whose prediction is to count, as some reference implementations do
	Mask   bool  // hide it from attention; without it only causality hides it from the row's own tokens
	// End, with Mask, leaves the row's last id in sight: the first token of the padding, where Token is that id.
	End bool
}

// Pad makes the plain padded batch, N = B*T, from rows as Pack takes them.
func Pad(rows [][]int32, p Padding, dev torch.Device) (*Texts, error) {
	length, err := longest(rows)
	if err != nil {
		return nil, err
	}
	n := len(rows) * length
	count := 0
	starts := []int64{0}
	tokens, positions, targets, seen := make([]int64, n), make([]int64, n), make([]int64, n), make([]bool, n)
	for r, row := range rows {
		for t := range length {
			i := r*length + t
			positions[i] = int64(t)
			tokens[i], targets[i] = int64(p.Token), p.Target
			if t < len(row)-1 {
				tokens[i], targets[i], seen[i] = int64(row[t]), int64(row[t+1]), true
			}
			seen[i] = seen[i] || p.End && t == len(row)-1
			if targets[i] != Ignore {
				count++
			}
		}
		starts = append(starts, int64((r+1)*length))
	}
	b := &Texts{
		Rows:      int64(len(rows)),
		Len:       int64(length),
		Tokens:    torch.Upload(tokens, dev),
		Positions: torch.Upload(positions, dev),
		Targets:   torch.Upload(targets, dev),
		Starts:    torch.FromSlice(starts),
		Count:     count,
	}
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
		return 0, errors.New("batch of texts: no rows")
	}
	n := 0
	for r, row := range rows {
		if len(row) < 2 {
			return 0, fmt.Errorf("batch of texts: row %d has %d tokens, want 2 or more", r, len(row))
		}
		n = max(n, len(row)-1)
	}
	return n, nil
}
