package memo

import (
	"math/bits"
	"sync/atomic"
)

// table maps keys of views to numbers of verdicts, without locks: a bucket is a cache line of eight words, and a word
// holds key and number, so that it is read and written as one. What two writers do at the same time may lose one of two
// words, never mix them. A full bucket gives up a key that nobody asked for lately, of these the lowest: keys grow, and a
// state of a node that is over is never asked for again, while the node that changed longest ago is, for every pod.
type table struct {
	buckets atomic.Pointer[[]bucket]
}

type bucket [8]atomic.Uint64

const (
	// used is set in a word that was put or found since its bucket was full last. The verdict's number stands in the bits below,
	// the key in those above.
	verdictBits  = 19
	mostVerdicts = 1 << verdictBits
	used         = mostVerdicts
	keyAt        = verdictBits + 1
	keyBits      = 64 - keyAt

	// cellsPerNode makes buckets with more living nodes than words very rare: a node in such a bucket is asked about again
	// and again, which is right and slow.
	cellsPerNode = 4
	fewestCells  = 256
)

// bucketsFor is a power of two.
func bucketsFor(nodes int) int {
	cells := max(fewestCells, cellsPerNode*nodes)
	return 1 << bits.Len(uint(cells-1)/uint(len(bucket{})))
}

// size is the memory that the table takes.
func (t *table) size() int { return len(*t.buckets.Load()) * len(bucket{}) * 8 }

// makeRoom is for one caller at a time. What others write into the old buckets meanwhile is lost.
func (t *table) makeRoom(nodes int) {
	old := t.buckets.Load()
	if old != nil && len(*old) >= bucketsFor(nodes) {
		return
	}
	larger := make([]bucket, bucketsFor(nodes))
	t.buckets.Store(&larger)
	if old == nil {
		return
	}
	for i := range *old {
		for j := range (*old)[i] {
			if word := (*old)[i][j].Load(); word != 0 {
				t.put(word>>keyAt, word&(mostVerdicts-1))
			}
		}
	}
}

func (t *table) get(key uint64) (number uint64, ok bool) {
	if key == 0 {
		return 0, false // it would be found in any empty word
	}
	line := t.line(key)
	for i := range line {
		if word := line[i].Load(); word>>keyAt == key {
			if word&used == 0 {
				line[i].CompareAndSwap(word, word|used) // once, so that those who look share the line
			}
			return word & (mostVerdicts - 1), true
		}
	}
	return 0, false
}

func (t *table) put(key, number uint64) {
	if key == 0 || key >= 1<<keyBits {
		return // 0 is an empty word; the other is a scheduler that ran for centuries
	}
	line := t.line(key)
	line[line.place(key)].Store(key<<keyAt | used | number)
}

// place is where a key may stand: where it stands, or nothing does, or what is given up.
func (b *bucket) place(key uint64) int {
	unused, leastUnused := -1, ^uint64(0)
	lowest, least := 0, ^uint64(0)
	for i := range b {
		word := b[i].Load()
		switch {
		case word>>keyAt == key || word == 0:
			return i
		case word&used == 0 && word < leastUnused:
			unused, leastUnused = i, word
		case word < least:
			lowest, least = i, word
		}
	}
	if unused >= 0 {
		return unused
	}
	for i := range b {
		b[i].And(^uint64(used))
	}
	return lowest
}

// line spreads keys that follow each other, or do so in steps, over the buckets.
func (t *table) line(key uint64) *bucket {
	buckets := *t.buckets.Load()
	const golden = 0x9e3779b97f4a7c15
	return &buckets[(key*golden)>>(64-bits.TrailingZeros(uint(len(buckets))))]
}
