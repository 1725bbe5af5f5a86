package code

// Size is what a module takes of its host before anything in it runs.
type Size struct {
	// TableEntries are the most that all its tables together may get.
	TableEntries uint64

	// Compilation grows as the time does that compiling takes: with the square of the places in a function where control
	// divides or meets.
	Compilation uint64
}

// SizeOf reads a module that nobody has looked at yet, in time that is in proportion to its bytes.
func SizeOf(bytes []byte) (Size, error) {
	m, err := read(bytes)
	if err != nil {
		return Size{}, err
	}
	var size Size
	for _, most := range m.tables {
		size.TableEntries += uint64(most)
	}
	for _, each := range m.bodies {
		r, _ := begin(each)
		places := uint64(0)
		for in := range r.instructions() {
			switch in.op {
			case opBlock, opLoop, opIf, opElse, opBr, opBrIf, opReturn, opUnreachable:
				places++
			case opBrTable:
				places += uint64(len(in.labels))
			}
		}
		if err := r.end(); err != nil {
			return Size{}, err
		}
		size.Compilation += places * places
	}
	return size, nil
}
