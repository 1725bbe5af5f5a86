package code

import (
	"math"
	"slices"
)

// The price of what is executed, in fuel: one for each instruction, and these.
const (
	// callPrice is of entering a function; each of its locals costs one more.
	callPrice = 32

	// hostPrice is of calling a host function.
	hostPrice = 1000
)

// price is that of an instruction apart from what it moves. The brackets of a block are no work.
func price(in *instruction, hostFunctions uint32) uint64 {
	switch {
	case in.op == opBlock, in.op == opLoop, in.op == opElse, in.op == opEnd:
		return 0
	case in.op == opCall && in.index < hostFunctions:
		return hostPrice
	default:
		return 1
	}
}

// bySize is the price of an instruction for each item that it moves, in eighths; with more items than most it does nothing.
type bySize struct {
	weight int64
	most   uint32
}

func (m *module) bySize(in *instruction) (bySize, bool) {
	const perByte, perEntry, perPage = 1, 8, 65536
	switch in.op {
	case opMemoryCopy, opMemoryFill, opMemoryInit:
		return bySize{perByte, math.MaxUint32}, true
	case opTableCopy, opTableFill, opTableInit:
		return bySize{perEntry, math.MaxUint32}, true
	case opMemoryGrow:
		return bySize{perPage, m.memory}, true
	case opTableGrow:
		if int(in.index) < len(m.tables) {
			return bySize{perEntry, m.tables[in.index]}, true
		}
		return bySize{perEntry, 0}, true
	default:
		return bySize{}, false
	}
}

// label is how control reaches the end of an open block.
type label int

const (
	// straight is from above only; a loop's label is at its head.
	straight label = iota
	// meets is from above or by a branch.
	meets
	// loops is a loop, whose end no branch can target.
	loops
)

// labels are those of the open blocks, the innermost last. A block of instructions that are always executed together ends
// where control may leave it or another way come in.
type labels []label

// ends says whether another block begins behind an instruction.
func (open *labels) ends(in *instruction) bool {
	switch in.op {
	case opBlock:
		*open = append(*open, straight)
		return false
	case opLoop:
		*open = append(*open, loops)
		return true
	case opIf:
		*open = append(*open, meets)
		return true
	case opEnd:
		last := len(*open) - 1
		ended := last >= 0 && (*open)[last] == meets
		*open = (*open)[:max(last, 0)]
		return ended
	case opBr, opBrIf:
		open.jump(in.index)
		return true
	case opBrTable:
		for _, depth := range in.labels {
			open.jump(depth)
		}
		return true
	case opElse, opReturn, opUnreachable:
		return true
	default:
		return false
	}
}

func (open *labels) jump(depth uint32) {
	if uint64(depth) >= uint64(len(*open)) {
		return
	}
	if target := len(*open) - 1 - int(depth); (*open)[target] == straight {
		(*open)[target] = meets
	}
}

// Charge is what a function is charged before the instruction at an offset: Fuel, for the block that begins there, or by
// the operand of the instruction, which is memory.grow then.
type Charge struct {
	Offset int
	Fuel   uint64
	Grows  bool
}

// Charges are where a function has to be charged for what it executes, and how much. Locals is how many it has beside its
// parameters. Code are its instructions, none of which moves many bytes but memory.grow.
func Charges(code []byte, locals int, hostFunctions uint32) ([]Charge, error) {
	r := &reader{bytes: code}
	all := slices.Collect(r.instructions())
	var charges []Charge
	open := labels{straight}
	block := 0 // the place of its charge
	charges = append(charges, Charge{Fuel: callPrice + uint64(locals)})
	for i := range all {
		if all[i].op == opMemoryGrow {
			charges = append(charges, Charge{Offset: all[i].at, Grows: true})
		}
		charges[block].Fuel += price(&all[i], hostFunctions)
		if open.ends(&all[i]) && i+1 < len(all) {
			block = len(charges)
			charges = append(charges, Charge{Offset: all[i+1].at})
		}
	}
	return slices.DeleteFunc(charges, func(each Charge) bool { return each.Fuel == 0 && !each.Grows }), r.err
}
