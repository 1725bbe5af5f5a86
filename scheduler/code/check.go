// Package code reads the code of a module: whether it is metered in fact, and what it takes to compile.
//
// A packed module (packer/, `weir plugin pack`) counts what it executes and traps when its fuel is used up. That it does is
// not taken from what it says of itself: here its code is read, and each block of instructions has to be charged, before it
// begins, for what it costs, each instruction that moves many bytes for how many they are, and nothing but an export that
// the host calls may fill the fuel up. So the bound holds whoever wrote the module.
package code

import (
	"errors"
	"fmt"
	"slices"
)

// OutOfFuel is the exported global that is 1 after a call that used up its fuel. The global before it is the fuel.
const OutOfFuel = "weir_out_of_fuel"

// Check says why not every call of a module ends within so much fuel; nil if each does.
func Check(bytes []byte, perCall uint64) error {
	m, err := read(bytes)
	if err != nil {
		return err
	}
	c := &checker{module: m, perCall: int64(perCall), entries: map[uint32]bool{}}
	if err := c.findCounters(); err != nil {
		return err
	}
	if err := c.findRoles(); err != nil {
		return err
	}
	for i, each := range m.bodies {
		index := m.hostFunctions + uint32(i)
		if c.entries[index] || index == c.giveUp || index == c.chargeBySize {
			continue
		}
		if err := c.metered(each); err != nil {
			return fmt.Errorf("function %d: %w", index, err)
		}
	}
	return nil
}

type checker struct {
	*module
	perCall int64

	// fuel and outOfFuel are globals.
	fuel, outOfFuel uint32

	// giveUp traps for want of fuel, chargeBySize charges for what is moved, entries fill the fuel up and call what the
	// module exports.
	giveUp, chargeBySize uint32
	entries              map[uint32]bool

	// lowers is what lowers the fuel in the function that is read, whose instructions stand in code.
	lowers []instruction
	code   []instruction
}

func (c *checker) findCounters() error {
	at, ok := c.globalExports[OutOfFuel]
	if !ok || at == 0 || int(at) >= len(c.globals) {
		return fmt.Errorf("it exports no global %s with its fuel before it", OutOfFuel)
	}
	c.outOfFuel, c.fuel = at, at-1
	if fuel := c.globals[c.fuel]; fuel.kind != typeI64 || !fuel.mutable || !fuel.known || fuel.constant < 0 || fuel.constant > c.perCall {
		return errors.New("the global before that is no fuel of a call")
	}
	for name, index := range c.globalExports {
		if index == c.fuel {
			return fmt.Errorf("it exports its fuel, as %s", name)
		}
	}
	return nil
}

// findRoles finds the functions that packing adds, each by its instructions.
func (c *checker) findRoles() error {
	const none = ^uint32(0)
	c.giveUp, c.chargeBySize = none, none
	var small [][]instruction
	for _, each := range c.bodies {
		small = append(small, c.small(each))
	}
	for i, each := range small {
		if matches(each, c.givesUp()) {
			c.giveUp = c.hostFunctions + uint32(i)
		}
	}
	c.lowers = c.lowered(0)
	for i, each := range small {
		switch index := c.hostFunctions + uint32(i); {
		case matches(each, c.chargesBySize()):
			c.chargeBySize = index
		case c.isEntry(each):
			c.entries[index] = true
		}
	}
	if c.giveUp == none || len(c.entries) == 0 {
		return errors.New("it has no function that fills its fuel up, or none that traps where it is used up")
	}
	for _, function := range c.referred {
		if c.entries[function] {
			return fmt.Errorf("it refers to function %d, which fills its fuel up", function)
		}
	}
	return nil
}

// small are the instructions of a function no longer than those that packing adds; nil for a longer one.
func (c *checker) small(body []byte) []instruction {
	const longest = 128 // an entry with as many parameters as a module of ours has
	if len(body) > longest {
		return nil
	}
	r, _ := begin(body)
	return slices.Collect(r.instructions())
}

// matches compares instructions and what they name.
func matches(code, pattern []instruction) bool {
	if len(code) != len(pattern) {
		return false
	}
	for i := range pattern {
		if code[i].op != pattern[i].op || code[i].index != pattern[i].index || code[i].value != pattern[i].value {
			return false
		}
	}
	return true
}

func (c *checker) givesUp() []instruction {
	return []instruction{{op: opI32Const, value: 1}, {op: opGlobalSet, index: c.outOfFuel}, {op: opUnreachable}, {op: opEnd}}
}

// lowered is what lowers the fuel, by what a function has put on the stack above it, and gives up below 0.
func (c *checker) lowered(left uint32) []instruction {
	return []instruction{
		{op: opI64Sub}, {op: opLocalTee, index: left}, {op: opGlobalSet, index: c.fuel},
		{op: opLocalGet, index: left}, {op: opI64Const}, {op: opI64LtS},
		{op: opIf, value: emptyBlock}, {op: opCall, index: c.giveUp}, {op: opUnreachable}, {op: opEnd},
	}
}

func (c *checker) chargesBySize() []instruction {
	const many, most, weight, left, eighths = 0, 1, 2, 3, 3
	all := []instruction{
		{op: opLocalGet, index: many}, {op: opLocalGet, index: most}, {op: opI32LeU}, {op: opIf, value: emptyBlock},
		{op: opGlobalGet, index: c.fuel}, {op: opLocalGet, index: many}, {op: opI64ExtendU},
		{op: opLocalGet, index: weight}, {op: opI64Mul}, {op: opI64Const, value: eighths}, {op: opI64ShrU},
	}
	return append(append(all, c.lowered(left)...), instruction{op: opEnd}, instruction{op: opLocalGet, index: many}, instruction{op: opEnd})
}

// isEntry says whether a function fills the fuel up and calls another with its own parameters.
func (c *checker) isEntry(code []instruction) bool {
	const before, after = 4, 2
	if len(code) < before+after || !matches(code[:before], []instruction{
		{op: opI64Const, value: c.perCall}, {op: opGlobalSet, index: c.fuel}, {op: opI32Const}, {op: opGlobalSet, index: c.outOfFuel},
	}) {
		return false
	}
	for i, each := range code[before : len(code)-after] {
		if each.op != opLocalGet || each.index != uint32(i) {
			return false
		}
	}
	return code[len(code)-after].op == opCall && code[len(code)-1].op == opEnd
}

// metered says what in a function is not charged for.
func (c *checker) metered(body []byte) error {
	r, locals := begin(body)
	c.code = slices.AppendSeq(c.code[:0], r.instructions())
	if err := r.end(); err != nil {
		return err
	}
	open := labels{straight}
	cost := callPrice + locals
	if locals > 0 {
		cost-- // one local is the metering's own
	}
	credit, at := c.charge(0)
	for at < len(c.code) {
		at += c.chargeOfSize(at)
		in := &c.code[at]
		if err := c.forbidden(at); err != nil {
			return err
		}
		if cost += price(in, c.hostFunctions); cost > credit {
			return fmt.Errorf("what it executes up to byte %d costs %d and is charged with %d", in.at, cost, credit)
		}
		at++
		if open.ends(in) {
			var units int
			cost = 0
			credit, units = c.charge(at)
			at += units
		}
	}
	return nil
}

// charge is how much is charged at the beginning of a block, and how many instructions that takes.
func (c *checker) charge(at int) (fuel uint64, units int) {
	const before, tee, get = 2, 1, 3
	units = before + len(c.lowers)
	if at+units > len(c.code) {
		return 0, 0
	}
	begins, lowers := c.code[at:at+before], c.code[at+before:at+units]
	if begins[0].op != opGlobalGet || begins[0].index != c.fuel || begins[1].op != opI64Const || begins[1].value <= 0 {
		return 0, 0
	}
	c.lowers[tee].index, c.lowers[get].index = lowers[tee].index, lowers[tee].index
	if !matches(lowers, c.lowers) {
		return 0, 0
	}
	return uint64(begins[1].value), units
}

// sizeUnits is how many instructions charge for one that moves many bytes, which follows them.
const sizeUnits = 3

// chargeOfSize is how many instructions charge for the one behind them by its size; 0 where they do not.
func (c *checker) chargeOfSize(at int) int {
	if at+sizeUnits >= len(c.code) || c.code[at].op != opI32Const {
		return 0
	}
	price, moves := c.bySize(&c.code[at+sizeUnits])
	if !moves || !matches(c.code[at:at+sizeUnits], []instruction{
		{op: opI32Const, value: int64(int32(price.most))}, {op: opI64Const, value: price.weight}, {op: opCall, index: c.chargeBySize},
	}) {
		return 0
	}
	return sizeUnits
}

// forbidden says what an instruction may not do: move many bytes without being charged, write the counters, fill them up.
func (c *checker) forbidden(at int) error {
	in := &c.code[at]
	_, moves := c.bySize(in)
	switch {
	case moves && (at < sizeUnits || c.chargeOfSize(at-sizeUnits) == 0):
		return fmt.Errorf("the instruction at byte %d is not charged for what it moves", in.at)
	case in.op == opGlobalSet && (in.index == c.fuel || in.index == c.outOfFuel):
		return fmt.Errorf("the instruction at byte %d writes the fuel", in.at)
	case (in.op == opCall || in.op == opRefFunc) && (c.entries[in.index] || in.index == c.chargeBySize):
		return fmt.Errorf("the instruction at byte %d fills the fuel up, or charges for nothing", in.at)
	}
	return nil
}
