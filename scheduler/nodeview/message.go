package nodeview

import (
	"encoding/binary"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
)

// shell is the message of a trimmed Node but for its annotations. A Node object never changes, and what its pods ask for
// is told in annotations: as pods come and go only these are written down anew, which takes a tenth of the time.
type shell struct {
	// metadata is the content of that field up to the annotations, which come last in it; rest is what follows it.
	metadata, rest []byte
}

// Tags of the message: the number of a field and that a length follows.
const (
	metadataTag    = 1<<3 | 2
	annotationsTag = 12<<3 | 2
	keyTag         = 1<<3 | 2
	valueTag       = 2<<3 | 2
)

// shellOf is nil where there is no message, or none that can be taken apart.
func (d Detail) shellOf(real *v1.Node) *shell {
	if d.Whole {
		return nil
	}
	message, err := trimmed(real, nil).Marshal()
	if err != nil || len(message) == 0 || message[0] != metadataTag {
		return nil
	}
	length, size := binary.Uvarint(message[1:])
	begin := 1 + size
	if size <= 0 || length > uint64(len(message)-begin) {
		return nil
	}
	end := begin + int(length)
	return &shell{metadata: message[begin:end], rest: message[end:]}
}

// appendMessage appends what a Node with these annotations is written down as: byte for byte what its Marshal gives.
func (s *shell) appendMessage(to []byte, annotations map[string]string) []byte {
	length := len(s.metadata)
	for key, value := range annotations {
		entry := entrySize(key, value)
		length += 1 + uvarintSize(entry) + entry
	}
	to = binary.AppendUvarint(append(to, metadataTag), uint64(length))
	to = append(to, s.metadata...)
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		value := annotations[key]
		to = binary.AppendUvarint(append(to, annotationsTag), uint64(entrySize(key, value)))
		to = binary.AppendUvarint(append(to, keyTag), uint64(len(key)))
		to = append(to, key...)
		to = binary.AppendUvarint(append(to, valueTag), uint64(len(value)))
		to = append(to, value...)
	}
	return append(to, s.rest...)
}

func entrySize(key, value string) int {
	return 1 + uvarintSize(len(key)) + len(key) + 1 + uvarintSize(len(value)) + len(value)
}

func uvarintSize(value int) int {
	size := 1
	for ; value >= 0x80; value >>= 7 {
		size++
	}
	return size
}
