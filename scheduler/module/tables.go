package module

import (
	"encoding/binary"
	"math"
)

const (
	tableSection = 4
	headerBytes  = 8 // "\0asm" and the version
	unlimited    = math.MaxUint64
)

// largestTable is how many entries the largest table of a module may get. wazero tells the limits of memories and not
// those of tables, so the section is read here; what is not understood counts as unlimited.
func largestTable(module []byte) uint64 {
	if len(module) < headerBytes {
		return unlimited
	}
	for rest := module[headerBytes:]; len(rest) > 0; {
		id := rest[0]
		size, after, ok := uleb(rest[1:])
		if !ok || size > uint64(len(after)) {
			return unlimited
		}
		if id == tableSection {
			return largestOf(after[:size])
		}
		rest = after[size:]
	}
	return 0
}

// largestOf reads a vector of tables: the type of its elements, whether there is a maximum, the minimum, the maximum.
func largestOf(section []byte) uint64 {
	count, rest, ok := uleb(section)
	if !ok {
		return unlimited
	}
	largest := uint64(0)
	for range count {
		if len(rest) < 2 || rest[1]&1 == 0 {
			return unlimited
		}
		var most uint64
		if _, rest, ok = uleb(rest[2:]); ok {
			most, rest, ok = uleb(rest)
		}
		if !ok {
			return unlimited
		}
		largest = max(largest, most)
	}
	return largest
}

func uleb(from []byte) (value uint64, rest []byte, ok bool) {
	value, length := binary.Uvarint(from)
	if length <= 0 {
		return 0, nil, false
	}
	return value, from[length:], true
}
