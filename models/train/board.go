package train

import (
	"encoding/binary"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"time"
)

// The files that TensorBoard reads are records of protocol buffers (tensorflow/core/util/event.proto and
// framework/summary.proto at v2.16), of which a training needs a version, and numbers at a step.

// boardHeader is the record that a file begins with.
func boardHeader() []byte { return boardRecord(field(boardTime(), 3, []byte("brain.Event:2"))) }

// boardScalars are the numbers of an event as one record: "captions/loss", "captions/lr", "captions/cider", …
func boardScalars(e Event) []byte {
	values := map[string]float64{}
	if e.Scores == nil {
		name := "loss"
		if e.Phase == "scst" {
			name = "reward"
		}
		values[name], values["lr"], values["grad_norm"] = e.Loss, e.LR, e.Norm
	}
	maps.Copy(values, e.Scores)
	var summary []byte
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := field(nil, 1, []byte(e.Phase+"/"+name))
		value = append(value, 2<<3|5) // simple_value, a float
		value = binary.LittleEndian.AppendUint32(value, math.Float32bits(float32(values[name])))
		summary = field(summary, 1, value)
	}
	event := binary.AppendUvarint(append(boardTime(), 2<<3), uint64(e.Step))
	return boardRecord(field(event, 5, summary))
}

// boardTime is the field wall_time, a double.
func boardTime() []byte {
	return binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, math.Float64bits(float64(time.Now().UnixMilli())/1e3))
}

// field appends a field of bytes.
func field(b []byte, number int, v []byte) []byte {
	b = binary.AppendUvarint(b, uint64(number<<3|2))
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// boardRecord frames a message as tensorflow/core/lib/io/record_writer.cc does: length and message, each with a masked
// CRC-32C behind it.
func boardRecord(message []byte) []byte {
	sum := func(b []byte) uint32 {
		c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
		return (c>>15 | c<<17) + 0xa282ead8
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(message)))
	b = binary.LittleEndian.AppendUint32(b, sum(b))
	b = append(b, message...)
	return binary.LittleEndian.AppendUint32(b, sum(message))
}
