package guest

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
)

// Host functions by which a guest says or does something beside its answer.

// Reference is an object that an event is about.
type Reference struct {
	APIVersion, Kind, Namespace, Name, UID string
}

// Event is what a guest has recorded, in the words of the ABI. Note is a format of fmt without arguments.
type Event struct {
	RegardingReference, RelatedReference Reference
	Eventtype, Reason, Action, Note      string
}

func eventf(i *Instance, stack []uint64) {
	in := low(stack)
	bytes := i.read(in[0], in[1])
	if i.call.Handle == nil || i.spent.events >= i.program.limits.Events || len(bytes) > i.program.limits.LogLine {
		return
	}
	i.spent.events++
	var event Event
	if err := json.Unmarshal(bytes, &event); err == nil {
		i.call.Handle.Record(event)
	}
}

// eightBytes is how much is written where the answer is yes, no or none.
const eightBytes = 8

func getWaitingPod(i *Instance, stack []uint64) {
	in := low(stack)
	message := string(make([]byte, eightBytes))
	if uid := i.text(in[0], in[1], mostName); i.call.Handle != nil {
		message = cmp.Or(i.call.Handle.WaitingPod(uid), message)
	}
	i.writeText(message, in[2], in[3])
}

func rejectWaitingPod(i *Instance, stack []uint64) {
	in := low(stack)
	var answer [eightBytes]byte
	if uid := i.text(in[0], in[1], mostName); i.call.Handle != nil && i.call.Handle.RejectWaitingPod(uid) {
		binary.LittleEndian.PutUint64(answer[:], 1)
	}
	i.write(answer[:], in[2], in[3])
}

func klogSeverity(i *Instance, stack []uint64) {
	i.charge(0)
	stack[0] = uint64(uint32(i.settings.Severity))
}

func klogLog(i *Instance, stack []uint64) {
	in := low(stack)
	i.log(int32(in[0]), i.text(in[1], in[2], i.program.limits.LogLine), nil)
}

func klogLogs(i *Instance, stack []uint64) {
	in := low(stack)
	most := i.program.limits.LogLine
	message := i.text(in[1], in[2], most)
	pairs := terminated([]byte(i.text(in[3], in[4], most-len(message))))
	i.log(int32(in[0]), message, pairs)
}

func (i *Instance) log(severity int32, message string, pairs []string) {
	if i.settings.Log == nil || severity < i.settings.Severity || i.spent.logLines >= i.program.limits.LogLines {
		return
	}
	i.spent.logLines++
	i.settings.Log(severity, message, pairs)
}

// What fd_write answers: WASI's error numbers.
const (
	errnoSuccess = 0
	errnoBadFile = 8
	stdout       = 1
	stderr       = 2
	vectorBytes  = 8
	mostSaid     = 4 << 10
)

// fdWrite keeps the beginning of what a guest writes to standard error, which explains its trap, and drops the rest. It
// answers that all was written.
func fdWrite(i *Instance, stack []uint64) {
	in := low(stack)
	file, vectors, count, written := in[0], in[1], in[2], in[3]
	if file != stdout && file != stderr {
		stack[0] = errnoBadFile
		return
	}
	total := uint32(0)
	list := i.read(vectors, uint64(uint32(count)*vectorBytes))
	for ; len(list) >= vectorBytes; list = list[vectorBytes:] {
		at, size := binary.LittleEndian.Uint32(list), binary.LittleEndian.Uint32(list[4:])
		bytes := i.read(uint64(at), uint64(size))
		total += size
		if room := mostSaid - len(i.spent.stderr); file == stderr && room > 0 {
			i.spent.stderr = append(i.spent.stderr, bytes[:min(len(bytes), room)]...)
		}
	}
	var answer [4]byte
	binary.LittleEndian.PutUint32(answer[:], total)
	i.write(answer[:], written, uint64(len(answer)))
	stack[0] = errnoSuccess
}
