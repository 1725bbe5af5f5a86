package code

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// The instructions that metering goes by. Those behind a prefix have it in the upper half.
const (
	opUnreachable = 0x00
	opBlock       = 0x02
	opLoop        = 0x03
	opIf          = 0x04
	opElse        = 0x05
	opEnd         = 0x0b
	opBr          = 0x0c
	opBrIf        = 0x0d
	opBrTable     = 0x0e
	opReturn      = 0x0f
	opCall        = 0x10
	opCallTable   = 0x11
	opSelectOf    = 0x1c
	opLocalGet    = 0x20
	opLocalTee    = 0x22
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opTableSet    = 0x26
	opLoad        = 0x28
	opStoreLast   = 0x3e
	opMemorySize  = 0x3f
	opMemoryGrow  = 0x40
	opI32Const    = 0x41
	opI64Const    = 0x42
	opF32Const    = 0x43
	opF64Const    = 0x44
	opI32LeU      = 0x4d
	opI64LtS      = 0x53
	opI64Sub      = 0x7d
	opI64Mul      = 0x7e
	opI64ShrU     = 0x88
	opI64ExtendU  = 0xad
	opLastPlain   = 0xc4
	opRefNull     = 0xd0
	opRefIsNull   = 0xd1
	opRefFunc     = 0xd2

	prefixBulk   = 0xfc
	prefixVector = 0xfd

	opMemoryInit = prefixBulk<<16 | 8
	opMemoryCopy = prefixBulk<<16 | 10
	opMemoryFill = prefixBulk<<16 | 11
	opTableInit  = prefixBulk<<16 | 12
	opTableCopy  = prefixBulk<<16 | 14
	opTableGrow  = prefixBulk<<16 | 15
	opTableFill  = prefixBulk<<16 | 17
)

// emptyBlock is the type of a block that takes and leaves nothing.
const emptyBlock = -64

// instruction is one instruction of a function.
type instruction struct {
	op uint32

	// index is the function, the global, the local, the table or the label that the instruction names first; labels are all
	// of br_table.
	index  uint32
	labels []uint32

	// value is a constant, or the type of a block.
	value int64

	// at is where it begins.
	at int
}

// reader reads a module's numbers one after the other. After the first that cannot be read there are only zeros.
type reader struct {
	bytes []byte
	at    int
	err   error
}

var errCutOff = errors.New("it ends in the middle of something")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.at = len(r.bytes)
}

func (r *reader) done() bool { return r.at >= len(r.bytes) }

func (r *reader) byte() byte {
	if r.done() {
		r.fail(errCutOff)
		return 0
	}
	r.at++
	return r.bytes[r.at-1]
}

func (r *reader) skip(count int) {
	if count < 0 || count > len(r.bytes)-r.at {
		r.fail(errCutOff)
		return
	}
	r.at += count
}

// take is what lies in the next bytes.
func (r *reader) take(count uint32) []byte {
	from := r.at
	r.skip(int(count))
	if r.err != nil {
		return nil
	}
	return r.bytes[from:r.at]
}

func (r *reader) number() uint32 {
	if r.done() {
		r.fail(errCutOff)
		return 0
	}
	value, size := binary.Uvarint(r.bytes[r.at:])
	if size <= 0 || value > 1<<32-1 {
		r.fail(errCutOff)
		return 0
	}
	r.at += size
	return uint32(value)
}

// signed reads a number whose last bit of its last byte is its sign.
func (r *reader) signed() int64 {
	const most = 70
	var value int64
	for shift := uint(0); shift < most; shift += 7 {
		next := r.byte()
		value |= int64(next&0x7f) << shift
		if next < 0x80 {
			if shift+7 < 64 && next&0x40 != 0 {
				value |= -1 << (shift + 7)
			}
			return value
		}
	}
	r.fail(errCutOff)
	return 0
}

// instructions reads a sequence up to its last end.
func (r *reader) instructions() iter.Seq[instruction] {
	return func(yield func(instruction) bool) {
		for open := 1; open > 0 && r.err == nil; {
			next := r.instruction()
			switch next.op {
			case opBlock, opLoop, opIf:
				open++
			case opEnd:
				open--
			}
			if !yield(next) {
				return
			}
		}
	}
}

func (r *reader) instruction() instruction {
	in := instruction{at: r.at}
	in.op = uint32(r.byte())
	switch op := in.op; {
	case op == opBlock, op == opLoop, op == opIf, op == opI32Const, op == opI64Const:
		in.value = r.signed()
	case op == opBr, op == opBrIf, op == opCall, op == opRefFunc, op >= opLocalGet && op <= opTableSet, op == opMemorySize, op == opMemoryGrow:
		in.index = r.number()
	case op == opBrTable:
		for count := r.number(); count > 0 && r.err == nil; count-- {
			in.labels = append(in.labels, r.number())
		}
		in.labels = append(in.labels, r.number())
	case op == opCallTable, op >= opLoad && op <= opStoreLast:
		r.number()
		r.number()
	case op == opSelectOf:
		r.skip(int(r.number()))
	case op == opF32Const:
		r.skip(4)
	case op == opF64Const:
		r.skip(8)
	case op == opRefNull:
		r.skip(1)
	case op == prefixBulk:
		r.bulk(&in)
	case op == prefixVector:
		r.vector(&in)
	case op > opLastPlain && op != opRefIsNull:
		r.fail(fmt.Errorf("instruction %#x is not known", op))
	}
	return in
}

func (r *reader) bulk(in *instruction) {
	sub := r.number()
	in.op = prefixBulk<<16 | sub
	operands := [18]int{8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1}
	if sub >= uint32(len(operands)) {
		r.fail(fmt.Errorf("instruction %#x %d is not known", prefixBulk, sub))
		return
	}
	if operands[sub] > 0 {
		in.index = r.number()
	}
	if operands[sub] > 1 {
		r.number()
	}
}

// vector skips the operands of a vector instruction; each costs as much as any other.
func (r *reader) vector(in *instruction) {
	sub := r.number()
	in.op = prefixVector<<16 | sub
	const (
		lastMemory, constant, shuffle = 11, 12, 13
		firstLane, lastLane           = 21, 34
		firstLaneMemory, lastLaneMem  = 84, 91
		lastZero, last                = 93, 255
	)
	switch {
	case sub <= lastMemory, sub > lastLaneMem && sub <= lastZero:
		r.number()
		r.number()
	case sub == constant, sub == shuffle:
		r.skip(16)
	case sub >= firstLane && sub <= lastLane:
		r.skip(1)
	case sub >= firstLaneMemory && sub <= lastLaneMem:
		r.number()
		r.number()
		r.skip(1)
	case sub > last:
		r.fail(fmt.Errorf("instruction %#x %d is not known", prefixVector, sub))
	}
}
