package board

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"
)

// The files that TensorBoard reads are records of protocol buffers: tensorflow/core/util/event.proto and
// framework/summary.proto at v2.16, and api.proto of its plugins hparams and custom_scalar at 2.16.

// message is a protocol buffer in the making.
type message []byte

func (m message) bytes(number int, v []byte) message {
	m = binary.AppendUvarint(m, uint64(number<<3|2))
	return append(binary.AppendUvarint(m, uint64(len(v))), v...)
}

func (m message) text(number int, v string) message { return m.bytes(number, []byte(v)) }

func (m message) number(number int, v uint64) message {
	return binary.AppendUvarint(binary.AppendUvarint(m, uint64(number<<3)), v)
}

func (m message) double(number int, v float64) message {
	m = binary.AppendUvarint(m, uint64(number<<3|1))
	return binary.LittleEndian.AppendUint64(m, math.Float64bits(v))
}

func (m message) float(number int, v float64) message {
	m = binary.AppendUvarint(m, uint64(number<<3|5))
	return binary.LittleEndian.AppendUint32(m, math.Float32bits(float32(v)))
}

// now is the present time in seconds.
func now() float64 { return float64(time.Now().UnixMilli()) / 1e3 }

// event is a record of a summary at a step.
func event(step int, summary message) []byte {
	return frame(message(nil).double(1, now()).number(2, uint64(step)).bytes(5, summary))
}

// metadata says which plugin of TensorBoard a value is for, with what that plugin wants to know.
func metadata(plugin string, content []byte) message {
	data := message(nil).text(1, plugin)
	if len(content) > 0 {
		data = data.bytes(2, content)
	}
	return message(nil).bytes(1, data)
}

// stringTensor is a tensor of one string.
func stringTensor(v []byte) message {
	const dtString = 7
	shape := message(nil).bytes(2, message(nil).number(1, 1))
	return message(nil).number(1, dtString).bytes(2, shape).bytes(8, v)
}

// frame frames a message as tensorflow/core/lib/io/record_writer.cc does: length and message, each with a masked
// CRC-32C behind it.
func frame(m message) []byte {
	sum := func(b []byte) uint32 {
		c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
		return (c>>15 | c<<17) + 0xa282ead8
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(m)))
	b = binary.LittleEndian.AppendUint32(b, sum(b))
	b = append(b, m...)
	return binary.LittleEndian.AppendUint32(b, sum(m))
}
