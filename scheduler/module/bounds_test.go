package module

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"weir.dev/scheduler/internal/wasmtest"
)

// Sections of modules that are written by hand: what they hold is not what a compiler would write.
var (
	boundedMemory = []byte{5, 4, 1, 1, 1, 16}                               // from 1 page to 16
	endlessMemory = []byte{5, 3, 1, 0, 1}                                   // no maximum
	exportsMemory = []byte{7, 10, 1, 6, 'm', 'e', 'm', 'o', 'r', 'y', 2, 0} // as "memory"
	boundedTable  = []byte{4, 5, 1, 0x70, 1, 3, 7}                          // of functions, from 3 to 7
	endlessTable  = []byte{4, 4, 1, 0x70, 0, 3}                             // no maximum
	largeTable    = []byte{4, 7, 1, 0x70, 1, 3, 0x81, 0x80, 0x40}           // up to 1048577
	twoTables     = []byte{4, 8, 2, 0x70, 1, 0, 9, 0x70, 0, 0}              // the second has no maximum
	twoHalves     = []byte{4, 13, 2, 0x70, 1, 0, 0x81, 0x80, 2, 0x70, 1, 0, 0x80, 0x80, 2}
)

func parsed(t *testing.T, sections ...[]byte) *Module {
	t.Helper()
	bytes := append([]byte("\x00asm\x01\x00\x00\x00"), slices.Concat(sections...)...)
	m, err := Parse(t.Context(), "test.wasm", bytes)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAModuleIsHeldToTheMemoryAndTablesThatItMayGrowTo(t *testing.T) {
	for name, test := range map[string]struct {
		sections [][]byte
		want     string // empty: it may be loaded
	}{
		"a memory within the bounds":     {[][]byte{boundedMemory, exportsMemory}, ""},
		"a memory without a maximum":     {[][]byte{endlessMemory, exportsMemory}, "declares no maximum for its memory"},
		"a table with a maximum":         {[][]byte{boundedTable, boundedMemory, exportsMemory}, ""},
		"a table without a maximum":      {[][]byte{endlessTable, boundedMemory, exportsMemory}, "has tables that may grow to 4294967295 entries"},
		"a table that may get too large": {[][]byte{largeTable, boundedMemory, exportsMemory}, "has tables that may grow to 1048577 entries"},
		"two tables that are too large":  {[][]byte{twoHalves, boundedMemory, exportsMemory}, "has tables that may grow to 65537 entries"},
		"a second table without one":     {[][]byte{twoTables, boundedMemory, exportsMemory}, "has tables that may grow to"},
	} {
		t.Run(name, func(t *testing.T) {
			err := parsed(t, test.sections...).Within(Bounds{Memory: 1 << 20, Metering: MeteringOptional})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAMemoryOfExactlyTheBoundIsAllowedAndAByteLessIsNot(t *testing.T) {
	m := parsed(t, boundedMemory, exportsMemory)
	if err := m.Within(Bounds{Memory: 16 * 65536, Metering: MeteringOptional}); err != nil {
		t.Error(err)
	}
	if err := m.Within(Bounds{Memory: 16*65536 - 1, Metering: MeteringOptional}); err == nil {
		t.Error("a module that may grow above the bound is let in")
	}
}

func TestWhatIsNotADigestOrAKeyIsRefusedWithTheFieldsName(t *testing.T) {
	if _, err := ParseDigest("args.digest", "sha256:ABC"); err == nil || !strings.Contains(err.Error(), "args.digest is") {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{
		"a key",
		"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		// RSA, 512 bits.
		"-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf\n9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==\n-----END PUBLIC KEY-----\n",
	} {
		if _, err := ParsePublicKey("args.publicKey", text); err == nil || !strings.Contains(err.Error(), "args.publicKey") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// The compiler takes time with the square of a function's branches: a quarter of a megabyte of them took it 13 seconds.
func TestAModuleWhoseFunctionsHaveTooManyBranchesIsRefusedBeforeItIsCompiled(t *testing.T) {
	branches := func(count int) []byte {
		return wasmtest.New().Func("filter", []wasmtest.ValueType{wasmtest.I32},
			bytes.Repeat([]byte{0x41, 0, 0x04, 0x40, 0x0b}, count), wasmtest.Const(0)).Bytes()
	}
	began := time.Now()
	_, err := Parse(t.Context(), "test.wasm", branches(50_000))
	if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "so many branches") || took > time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	dear, err := Parse(t.Context(), "test.wasm", branches(6_000))
	if err != nil {
		t.Fatal(err)
	}
	if err := dear.Within(Bounds{Memory: 1 << 20}); err == nil || !strings.Contains(err.Error(), "so many branches") {
		t.Errorf("got %v", err)
	}
	if err := dear.Within(Bounds{Memory: 1 << 20, Metering: MeteringOptional}); err != nil {
		t.Errorf("of a module that the operator trusts: %v", err)
	}
}

// A section can be forged. What counts is the code.
func TestAModuleThatOnlySaysThatItIsMeteredIsRefusedOrBoundedByTheClock(t *testing.T) {
	forged := wasmtest.New().Func("filter", []wasmtest.ValueType{wasmtest.I32}, wasmtest.Forever(), wasmtest.Const(0)).
		Custom("weir.metering", []byte(`{"version":1,"fuelPerCall":1000}`))
	m, err := Parse(t.Context(), "test.wasm", forged.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Within(Bounds{Memory: 1 << 20}); err == nil || !strings.Contains(err.Error(), "says that it is metered and is not") {
		t.Errorf("got %v", err)
	}
	if err := m.Within(Bounds{Memory: 1 << 20, Metering: MeteringOptional}); err != nil || m.FuelPerCall() != 0 {
		t.Errorf("where metering is optional: %v, and %d fuel", err, m.FuelPerCall())
	}
}
