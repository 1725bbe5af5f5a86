package wasmtest

import "fmt"

// Packed makes a module declare that it is metered, with so much fuel for each call, as `weir plugin pack` does. What
// it counts is for the test to write; Spend is one way.
func (m *Module) Packed(fuel int32) *Module {
	m.globalName = "weir_out_of_fuel"
	if !m.exports("_start") {
		m.Func("_start", nil) // ours have one, and by it a host learns of the global
	}
	return m.Custom("weir.metering", []byte(fmt.Sprintf(`{"version":1,"fuelPerCall":%d}`, fuel)))
}

// Spend loops until so much fuel is used up, one for each turn, and then does what a packed module does.
func Spend(fuel int32) Code {
	return join(Const(fuel), SetLocal, Forever(
		Local, Const(0), Equal, If(Const(1), SetGlobal, Trap),
		Local, Const(-1), Add, SetLocal))
}

// MaxPages is to how many pages of 64 KiB the memory may grow.
func (m *Module) MaxPages(pages uint32) *Module {
	m.maxPages = pages
	return m
}

func (m *Module) exports(name string) bool {
	for _, f := range m.funcs {
		if f.export == name {
			return true
		}
	}
	return false
}
