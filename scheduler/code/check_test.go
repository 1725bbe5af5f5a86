package code_test

import (
	"bytes"
	"strings"
	"testing"

	"weir.dev/scheduler/code"
	"weir.dev/scheduler/internal/wasmtest"
)

const fuel = 1000

var i32 = []wasmtest.ValueType{wasmtest.I32}

// aGuest has what metering goes by: calls of the host, branches, a loop, memory that grows.
func aGuest() *wasmtest.Module {
	m, host := wasmtest.WithHost()
	return m.Func("filter", i32,
		host.ReadNodeName(), wasmtest.Const(4), wasmtest.Equal, wasmtest.If(wasmtest.Forever(wasmtest.Local, wasmtest.SetLocal)),
		wasmtest.Const(1), wasmtest.GrowMemory).Func("score", []wasmtest.ValueType{wasmtest.I64}, wasmtest.Const64(0))
}

func TestAModuleThatIsChargedForAllThatItExecutesIsMetered(t *testing.T) {
	if err := code.Check(aGuest().Packed(fuel).Bytes(), fuel); err != nil {
		t.Error(err)
	}
}

func TestAModuleThatSaysItIsMeteredAndIsNotIsFoundOut(t *testing.T) {
	const fuelGlobal, filter = 1, 5 // the global and the function of aGuest, behind the host's
	sound := aGuest().Packed(fuel)
	entry := byte(filter + 2 + 2) // behind its two functions and the two that every packed module has
	for want, forged := range map[string][]byte{
		"exports no global weir_out_of_fuel": aGuest().Custom("weir.metering", []byte(`{"version":1,"fuelPerCall":1000}`)).Bytes(),
		"no fuel of a call":                  aGuest().Packed(fuel + 1).Bytes(),
		"costs 33 and is charged with 0":     sound.Uncharged(wasmtest.Forever()).Bytes(),
		"is charged with 5":                  sound.Uncharged(sound.Charge(5), wasmtest.Forever(wasmtest.Nop)).Bytes(),
		"costs 1 and is charged with 0":      sound.Uncharged(sound.Charge(40), wasmtest.Forever(wasmtest.Nop)).Bytes(),
		"writes the fuel": sound.Uncharged(sound.Charge(40),
			wasmtest.Const64(fuel), wasmtest.Code{0x24, fuelGlobal}).Bytes(),
		"fills the fuel up": sound.Uncharged(sound.Charge(40), wasmtest.Code{0x10, entry}, wasmtest.Drop).Bytes(),
		"is not charged for what it moves": sound.Uncharged(sound.Charge(40),
			wasmtest.Const(0), wasmtest.Const(0), wasmtest.Const(1<<20), wasmtest.Code{0xfc, 11, 0}).Bytes(),
	} {
		if err := code.Check(forged, fuel); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestWhatIsNoModuleIsAnError(t *testing.T) {
	whole := aGuest().Packed(fuel).Bytes()
	const header = 3 // of the custom section, which comes last
	for length := range bytes.Index(whole, []byte("weir.metering")) - header {
		if _, err := code.SizeOf(whole[:length]); err == nil && code.Check(whole[:length], fuel) == nil {
			t.Errorf("its first %d bytes count as metered", length)
		}
		changed := append([]byte(nil), whole...)
		changed[length] ^= 0x55
		_ = code.Check(changed, fuel) // it must not panic
	}
}
