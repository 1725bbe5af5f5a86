package wasmtest

import (
	"fmt"
	"slices"

	"weir.dev/scheduler/code"
)

// Packed meters a module with so much fuel for each call, as `weir plugin pack` does.
func (m *Module) Packed(fuel int64) *Module {
	m.fuel = fuel
	return m.Custom("weir.metering", []byte(fmt.Sprintf(`{"version":1,"fuelPerCall":%d}`, fuel)))
}

// MaxPages is to how many pages of 64 KiB the memory may grow.
func (m *Module) MaxPages(pages uint32) *Module {
	m.maxPages = pages
	return m
}

// The globals and the functions that metering adds, behind those of the module.
const (
	fuelGlobal      = 1
	outOfFuelGlobal = 2
	addedFunctions  = 2 // behind them, one for each export

	// leftLocal is behind the one local that each function has.
	leftLocal = 1
)

func (m *Module) giveUp() int       { return len(m.imports) + len(m.funcs) }
func (m *Module) chargeBySize() int { return m.giveUp() + 1 }

// metered is the module with its functions charged, and an export in place of each that fills the fuel up.
func (m *Module) metered() *Module {
	out := *m
	out.fuel = 0
	out.globals = append(slices.Clone(m.globals),
		join(Code{byte(I64), 1}, Const64(m.fuel), Code{0x0b}), join(Code{byte(I32), 1}, Const(0), Code{0x0b}))
	out.exported = map[string]Code{"memory": {2, 0}, code.OutOfFuel: {3, outOfFuelGlobal}}
	out.funcs = nil
	for _, each := range m.funcs {
		out.funcs = append(out.funcs, function{"", each.typ, m.charged(each.body)})
	}
	out.added(join(Code{0}, Const(1), Code{0x24, outOfFuelGlobal, 0x00, 0x0b}), nil, nil)
	out.added(join(Code{1, 1, byte(I64)}, Code{0x20, 0, 0x20, 1, 0x4d, 0x04, 0x40, 0x23, fuelGlobal},
		Code{0x20, 0, 0xad, 0x20, 2, 0x7e, 0x42, 3, 0x88}, m.lowered(3), Code{0x0b, 0x20, 0, 0x0b}), []ValueType{I32, I32, I64}, one)
	for i, each := range m.funcs {
		out.exported[each.export] = join(Code{0}, uleb(uint64(m.giveUp()+addedFunctions+i)))
		entry := join(Code{0}, Const64(m.fuel), Code{0x24, fuelGlobal}, Const(0), Code{0x24, outOfFuelGlobal},
			Code{0x10}, uleb(uint64(len(m.imports)+i)), Code{0x0b})
		out.funcs = append(out.funcs, function{"", each.typ, entry})
	}
	return &out
}

func (m *Module) added(body Code, params, results []ValueType) {
	m.funcs = append(m.funcs, function{"", m.typeOf(params, results), body})
}

// charged is a function's body with its charges. It begins with the function's one local.
func (m *Module) charged(body Code) Code {
	const locals = 3 // bytes
	instructions := body[locals:]
	charges, err := code.Charges(instructions, 1, uint32(len(m.imports)))
	if err != nil {
		panic(fmt.Sprintf("wasmtest: %v", err))
	}
	out := Code{2, 1, byte(I32), 1, byte(I64)}
	from := 0
	for _, each := range charges {
		out = append(out, instructions[from:each.Offset]...)
		from = each.Offset
		if each.Grows {
			out = join(out, Const(int32(m.maxPages)), Const64(pageBytes), Code{0x10}, uleb(uint64(m.chargeBySize())))
		} else {
			out = join(out, Code{0x23, fuelGlobal}, Const64(int64(each.Fuel)), m.lowered(leftLocal))
		}
	}
	return append(out, instructions[from:]...)
}

const pageBytes = 64 << 10

// lowered takes from the fuel what is on the stack above it, and gives up below 0.
func (m *Module) lowered(left byte) Code {
	return join(Code{0x7d, 0x22, left, 0x24, fuelGlobal, 0x20, left, 0x42, 0, 0x53, 0x04, 0x40, 0x10}, uleb(uint64(m.giveUp())), Code{0x00, 0x0b})
}

// Nop does nothing.
var Nop = Code{0x01}

// Charge lowers the fuel in a function of a packed module, as packing does.
func (m *Module) Charge(fuel int64) Code {
	return join(Code{0x23, fuelGlobal}, Const64(fuel), m.lowered(leftLocal))
}

// Uncharged is a packed module with one function more that packing has not seen.
func (m *Module) Uncharged(body ...Code) *Module {
	out := m.metered()
	out.added(join(Code{2, 1, byte(I32), 1, byte(I64)}, join(body...), Code{0x0b}), nil, nil)
	return out
}
