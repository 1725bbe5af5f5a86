package code

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// module is what metering goes by of a module.
type module struct {
	hostFunctions uint32
	functions     uint32 // all, those of the host first

	tables []uint32 // the most entries of each
	memory uint32   // the most pages

	globals []global

	// globalExports are the indices of the globals that are exported, by name.
	globalExports map[string]uint32

	// referred are the functions that elements, globals and the start section refer to.
	referred []uint32

	bodies [][]byte
}

type global struct {
	kind    byte
	mutable bool

	// constant is what it begins with, where that is a constant.
	constant int64
	known    bool
}

const (
	sectionImport   = 2
	sectionFunction = 3
	sectionTable    = 4
	sectionMemory   = 5
	sectionGlobal   = 6
	sectionExport   = 7
	sectionStart    = 8
	sectionElement  = 9
	sectionCode     = 10

	headerBytes = 8

	kindFunction = 0
	kindGlobal   = 3

	typeI64 = 0x7e
)

// read takes a module apart. The runtime validates it: whatever is wrong with it here is an error, but not every error is
// found.
func read(bytes []byte) (*module, error) {
	m := &module{globalExports: map[string]uint32{}}
	r := &reader{bytes: bytes}
	r.skip(headerBytes)
	sections := map[byte]func(*reader){
		sectionImport: m.readImports, sectionFunction: func(r *reader) { m.functions += r.number() },
		sectionTable: m.readTables, sectionMemory: m.readMemory, sectionGlobal: m.readGlobals, sectionExport: m.readExports,
		sectionStart: func(r *reader) { m.referred = append(m.referred, r.number()) }, sectionElement: m.readElements,
		sectionCode: m.readCode,
	}
	for !r.done() {
		id := r.byte()
		content := &reader{bytes: r.take(r.number())}
		if take := sections[id]; take != nil && r.err == nil {
			take(content)
		}
		if content.err != nil {
			return nil, fmt.Errorf("section %d: %w", id, content.err)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if int(m.functions-m.hostFunctions) != len(m.bodies) {
		return nil, errors.New("it has not as many bodies as functions")
	}
	return m, nil
}

func (m *module) readImports(r *reader) {
	for count := r.number(); count > 0 && r.err == nil; count-- {
		r.take(r.number())
		r.take(r.number())
		if r.byte() != kindFunction {
			r.fail(errors.New("it imports something that is no function"))
		}
		r.number()
		m.hostFunctions++
	}
	m.functions += m.hostFunctions
}

// most reads limits: whether there is a maximum, the minimum, the maximum.
func (r *reader) most() uint32 {
	bounded := r.byte()&1 != 0
	r.number()
	if !bounded {
		return math.MaxUint32
	}
	return r.number()
}

func (m *module) readTables(r *reader) {
	for count := r.number(); count > 0 && r.err == nil; count-- {
		r.byte()
		m.tables = append(m.tables, r.most())
	}
}

func (m *module) readMemory(r *reader) {
	for count := r.number(); count > 0 && r.err == nil; count-- {
		m.memory = r.most()
	}
}

func (m *module) readGlobals(r *reader) {
	for count := r.number(); count > 0 && r.err == nil; count-- {
		kind := r.byte()
		each := global{kind: kind, mutable: r.byte() == 1}
		if begins := m.readConstant(r); len(begins) == 2 && (begins[0].op == opI32Const || begins[0].op == opI64Const) {
			each.constant, each.known = begins[0].value, true
		}
		m.globals = append(m.globals, each)
	}
}

// readConstant reads what a global or an element begins with.
func (m *module) readConstant(r *reader) []instruction {
	all := slices.Collect(r.instructions())
	for _, each := range all {
		if each.op == opRefFunc {
			m.referred = append(m.referred, each.index)
		}
	}
	return all
}

func (m *module) readExports(r *reader) {
	for count := r.number(); count > 0 && r.err == nil; count-- {
		name := string(r.take(r.number()))
		kind := r.byte()
		if index := r.number(); kind == kindGlobal {
			m.globalExports[name] = index
		}
	}
}

// readElements reads all eight forms: whether a segment is put into a table at once, whether it names that table, and
// whether it lists functions or constants.
func (m *module) readElements(r *reader) {
	for count := r.number(); count > 0 && r.err == nil; count-- {
		form := r.number()
		passive, named, constants := form&1 != 0, form&2 != 0, form&4 != 0
		if !passive && named {
			r.number()
		}
		if !passive {
			m.readConstant(r)
		}
		if passive || named {
			r.byte() // what kind of elements they are
		}
		for entries := r.number(); entries > 0 && r.err == nil; entries-- {
			if constants {
				m.readConstant(r)
			} else {
				m.referred = append(m.referred, r.number())
			}
		}
	}
}

func (m *module) readCode(r *reader) {
	for count := r.number(); count > 0 && r.err == nil; count-- {
		m.bodies = append(m.bodies, r.take(r.number()))
	}
}

// begin reads a function's locals, and leaves the reader at its instructions.
func begin(body []byte) (r *reader, locals uint64) {
	r = &reader{bytes: body}
	for groups := r.number(); groups > 0 && r.err == nil; groups-- {
		locals += uint64(r.number())
		r.byte()
	}
	return r, locals
}

// end is what was wrong with a function that was read to its end.
func (r *reader) end() error {
	if r.err == nil && !r.done() {
		r.fail(errors.New("something follows its end"))
	}
	return r.err
}
