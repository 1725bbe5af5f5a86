package guest

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// Everything that crosses the border between guest and host goes through the functions here: they check that it lies in
// the guest's memory, and charge for it.

// overdrawn ends a call whose host functions have moved more than Limits.Border allows.
type overdrawn struct{ most int64 }

func (o *overdrawn) Error() string {
	return fmt.Sprintf("it had its host move more than the %d bytes that a call may", o.most)
}

// outside ends a call that hands over an address outside the guest's memory.
type outside struct{ at, size uint32 }

func (o *outside) Error() string {
	return fmt.Sprintf("%d bytes at address %d are not in its memory", o.size, o.at)
}

// calling is the instance that a host function is called by.
func calling(ctx context.Context, module api.Module) *Instance {
	i := ctx.Value(instanceKey{}).(*Instance)
	if i.memory == nil { // a start function runs before the instance is there
		i.memory = module.Memory()
	}
	return i
}

// charge panics, which the runtime turns into the error of the call, where too much was asked.
func (i *Instance) charge(bytes int) {
	i.spent.border += callPrice + int64(bytes)
	if most := i.program.limits.Border; i.spent.border > most {
		panic(&overdrawn{most})
	}
}

// read is what lies in the guest's memory. It is valid until the guest goes on.
func (i *Instance) read(at, size uint64) []byte {
	i.charge(int(uint32(size)))
	bytes, ok := i.memory.Read(uint32(at), uint32(size))
	if !ok {
		panic(&outside{uint32(at), uint32(size)})
	}
	return bytes
}

// text is a copy of what lies in the guest's memory, of at most so many bytes; the rest is cut.
func (i *Instance) text(at, size uint64, most int) string {
	bytes := i.read(at, size)
	return string(bytes[:min(len(bytes), most)])
}

// write puts an answer into the guest's buffer if it fits, and returns how long it is.
func (i *Instance) write(answer []byte, at, limit uint64) uint64 {
	i.charge(len(answer))
	if uint64(len(answer)) <= limit && len(answer) > 0 && !i.memory.Write(uint32(at), answer) {
		panic(&outside{uint32(at), uint32(len(answer))})
	}
	return uint64(len(answer))
}

// writeText is write for a string, which is not copied for it.
func (i *Instance) writeText(answer string, at, limit uint64) uint64 {
	i.charge(len(answer))
	if uint64(len(answer)) <= limit && !i.memory.WriteString(uint32(at), answer) {
		panic(&outside{uint32(at), uint32(len(answer))})
	}
	return uint64(len(answer))
}
