package curves

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

// BoardHeader is the record that a file for TensorBoard begins with.
func BoardHeader() []byte { return frame(field(boardTime(), 3, []byte("brain.Event:2"))) }

// BoardRecord is a point as one record of a file for TensorBoard, with numbers that are named "captions/loss",
// "captions/lr", "captions/cider" and so on.
func BoardRecord(p Point) []byte {
	values := map[string]float64{}
	if p.Scores == nil {
		name := "loss"
		if p.Phase == "scst" {
			name = "reward"
		}
		values[name], values["lr"], values["grad_norm"] = p.Loss, p.LR, p.Norm
	}
	maps.Copy(values, p.Scores)
	var summary []byte
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := field(nil, 1, []byte(p.Phase+"/"+name))
		value = append(value, 2<<3|5) // simple_value, a float
		value = binary.LittleEndian.AppendUint32(value, math.Float32bits(float32(values[name])))
		summary = field(summary, 1, value)
	}
	event := binary.AppendUvarint(append(boardTime(), 2<<3), uint64(p.Step))
	return frame(field(event, 5, summary))
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

// frame frames a message as tensorflow/core/lib/io/record_writer.cc does: length and message, each with a masked
// CRC-32C behind it.
func frame(message []byte) []byte {
	sum := func(b []byte) uint32 {
		c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
		return (c>>15 | c<<17) + 0xa282ead8
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(message)))
	b = binary.LittleEndian.AppendUint32(b, sum(b))
	b = append(b, message...)
	return binary.LittleEndian.AppendUint32(b, sum(message))
}
