// Package wasmtest assembles small WebAssembly modules, so that a test can say in a few lines what its guest does and
// no binary lies in the repository. It knows the instructions that our tests use and no others.
package wasmtest

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Code is a sequence of encoded instructions.
type Code []byte

// ValueType is the type of a parameter or result.
type ValueType byte

// The value types of WebAssembly that the ABI of the extension uses.
const (
	I32 ValueType = 0x7f
	I64 ValueType = 0x7e
)

type signature struct{ params, results []ValueType }

type function struct {
	export string
	typ    int
	body   Code
}

// Module is a module under construction: one memory, exported as "memory", one mutable i32 global, and functions.
type Module struct {
	types    []signature
	imports  []Code
	funcs    []function
	minPages uint32
	maxPages uint32
	custom   []Code

	globals  []Code          // with what they begin with
	exported map[string]Code // kind and index of each; nil for the memory and the functions

	// fuel is that of a call; 0 for a module that is not metered.
	fuel int64
}

// New is a module with one page of memory that may grow to 16.
func New() *Module {
	return &Module{minPages: 1, maxPages: 16, globals: []Code{{byte(I32), 0x01, 0x41, 0x00, 0x0b}}}
}

// Import declares a host function and gives the instruction that calls it. All imports come before the first Func.
func (m *Module) Import(from, name string, params, results []ValueType) Code {
	if len(m.funcs) > 0 {
		panic("wasmtest: Import after Func")
	}
	index := len(m.imports)
	entry := slices.Concat(text(from), text(name), []byte{0x00}, uleb(uint64(m.typeOf(params, results))))
	m.imports = append(m.imports, entry)
	return append(Code{0x10}, uleb(uint64(index))...)
}

// Func exports a function without parameters and with one i32 local, number 0.
func (m *Module) Func(export string, results []ValueType, body ...Code) *Module {
	locals := Code{0x01, 0x01, byte(I32)}
	m.funcs = append(m.funcs, function{export, m.typeOf(nil, results), slices.Concat(append([]Code{locals}, append(body, Code{0x0b})...)...)})
	return m
}

// Custom adds a custom section, for which a host may look.
func (m *Module) Custom(name string, content []byte) *Module {
	m.custom = append(m.custom, append(text(name), content...))
	return m
}

// Instructions. Results of one are operands of the next, as on WebAssembly's stack.

// Const pushes an i32.
func Const(value int32) Code { return append(Code{0x41}, sleb(int64(value))...) }

// Const64 pushes an i64.
func Const64(value int64) Code { return append(Code{0x42}, sleb(value)...) }

// Ops without operands of their own.
var (
	Trap      = Code{0x00}
	Drop      = Code{0x1a}
	Equal     = Code{0x46}
	Add       = Code{0x6a}
	And       = Code{0x71}
	SetLocal  = Code{0x21, 0x00}
	Local     = Code{0x20, 0x00}
	SetGlobal = Code{0x24, 0x00}
	Global    = Code{0x23, 0x00}
)

// Load8 takes an address and pushes the byte there.
var Load8 = Code{0x2d, 0x00, 0x00}

// Store8 puts a byte at an address.
func Store8(address, value int32) Code {
	return slices.Concat(Const(address), Const(value), Code{0x3a, 0x00, 0x00})
}

// Upper takes an i32 and pushes it as the upper half of an i64, where a score stands.
var Upper = Code{0xad, 0x42, 0x20, 0x86}

// GrowMemory takes a number of pages and pushes the old size, or -1.
var GrowMemory = Code{0x40, 0x00}

// If takes an i32 and runs then when it is not 0. It leaves nothing on the stack.
func If(then ...Code) Code {
	return slices.Concat(Code{0x04, 0x40}, slices.Concat(then...), Code{0x0b})
}

// Forever runs its body again and again.
func Forever(body ...Code) Code {
	return slices.Concat(Code{0x03, 0x40}, slices.Concat(body...), Code{0x0c, 0x00, 0x0b})
}

// Bytes encodes the module.
func (m *Module) Bytes() []byte {
	if m.fuel > 0 {
		return m.metered().Bytes()
	}
	out := bytes.NewBuffer([]byte{0x00, 'a', 's', 'm', 0x01, 0x00, 0x00, 0x00})
	section(out, 1, each(m.types, func(t signature) Code {
		return slices.Concat(Code{0x60}, valueTypes(t.params), valueTypes(t.results))
	}))
	section(out, 2, each(m.imports, func(c Code) Code { return c }))
	section(out, 3, each(m.funcs, func(f function) Code { return uleb(uint64(f.typ)) }))
	section(out, 5, slices.Concat(Code{0x01, 0x01}, uleb(uint64(m.minPages)), uleb(uint64(m.maxPages))))
	section(out, 6, each(m.globals, func(c Code) Code { return c }))
	exported := m.exports()
	section(out, 7, each(slices.Sorted(maps.Keys(exported)), func(name string) Code { return slices.Concat(text(name), exported[name]) }))
	section(out, 10, each(m.funcs, func(f function) Code { return append(uleb(uint64(len(f.body))), f.body...) }))
	for _, custom := range m.custom {
		section(out, 0, custom)
	}
	return out.Bytes()
}

func (m *Module) exports() map[string]Code {
	if m.exported != nil {
		return m.exported
	}
	exported := map[string]Code{"memory": {0x02, 0x00}}
	for i, f := range m.funcs {
		exported[f.export] = slices.Concat(Code{0x00}, uleb(uint64(len(m.imports)+i)))
	}
	return exported
}

// Write puts the module into a file of the test and returns its file:// URL.
func (m *Module) Write(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "guest.wasm")
	if err := os.WriteFile(path, m.Bytes(), 0o600); err != nil {
		t.Fatal(fmt.Errorf("writing a guest: %w", err))
	}
	return "file://" + path
}

func (m *Module) typeOf(params, results []ValueType) int {
	for i, t := range m.types {
		if slices.Equal(t.params, params) && slices.Equal(t.results, results) {
			return i
		}
	}
	m.types = append(m.types, signature{params, results})
	return len(m.types) - 1
}

func section(out *bytes.Buffer, id byte, content Code) {
	out.WriteByte(id)
	out.Write(uleb(uint64(len(content))))
	out.Write(content)
}

func each[T any](items []T, encode func(T) Code) Code {
	out := uleb(uint64(len(items)))
	for _, item := range items {
		out = append(out, encode(item)...)
	}
	return out
}

func valueTypes(types []ValueType) Code {
	return each(types, func(t ValueType) Code { return Code{byte(t)} })
}

func text(s string) Code {
	return append(uleb(uint64(len(s))), s...)
}

func uleb(v uint64) Code {
	var out Code
	for {
		b := byte(v & 0x7f)
		if v >>= 7; v == 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

func sleb(v int64) Code {
	var out Code
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}
