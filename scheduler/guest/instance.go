package guest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// Instance is one instance of a module, for one call at a time.
type Instance struct {
	program   *Program
	settings  Settings
	ctx       context.Context
	module    api.Module
	memory    api.Memory
	outOfFuel api.Global
	functions [pointCount]api.Function

	// call is the one in flight and answer what the guest has said in it so far.
	call   *Call
	answer Answer
	spent  spent
	stack  [1]uint64
}

// spent is what the call in flight has used up.
type spent struct {
	border           int64
	logLines, events int
	stderr           []byte
}

// Call is what a guest may ask about during one call of an export. What is nil or empty is answered with nothing.
type Call struct {
	// Pod and Target are messages of v1.Pod: the pod that is scheduled, and the one that is added or removed. Messages are
	// strings, so that none can be changed and none is copied for a call.
	Pod, Target string

	// NodeName is the node that the call is about, or what stands in its place (sdk/ABI.md, "A node in place of its name").
	NodeName string

	// Nodes are the nodes of the cluster.
	Nodes Nodes

	// Handle is what a guest may do beyond answering.
	Handle Handle

	// Filtered are the nodes that passed the filters, Codes the status codes by node, Scores the scores by node. Each is
	// made when a guest asks.
	Filtered func() []string
	Codes    func() map[string]int32
	Scores   func() map[string]int64
}

// Nodes tells of nodes by their names.
type Nodes interface {
	// Node is a message of v1.Node; empty when there is none of this name.
	Node(name string) string

	// List is a message of v1.NodeList.
	List() string

	// Images are the images on a node.
	Images(name string) map[string]ImageState
}

// ImageState is how large an image is and on how many nodes it lies, in the words of the ABI. Nodes is always null there: the
// extension writes it so.
type ImageState struct {
	Size     int64
	NumNodes int
	Nodes    *struct{}
}

// Handle takes what a guest wants done.
type Handle interface {
	// Record takes an event.
	Record(event Event)

	// WaitingPod is a message of v1.Pod; empty when no such pod waits.
	WaitingPod(uid string) string

	// RejectWaitingPod says whether there was one.
	RejectWaitingPod(uid string) bool
}

// Answer is what a guest has said in a call.
type Answer struct {
	// Value is what the export returned, 0 where it returns nothing.
	Value uint64

	// Reason is the text beside a status code.
	Reason string

	// NodeNames are those of prefilter; nil is all nodes.
	NodeNames []string

	// Nominated is the node of postfilter.
	Nominated string

	// Events are those of enqueue.
	Events []ClusterEvent

	// Scores are those of normalizescore, by node.
	Scores map[string]int64
}

// ClusterEvent is a resource and what happens to it, in the numbers of the ABI.
type ClusterEvent struct{ Resource, Action uint32 }

// Code is the status code of a point that answers an i32, and of score and postfilter.
func (a *Answer) Code() int32 { return int32(uint32(a.Value)) }

// High is the upper half: a score, the mode of a nomination.
func (a *Answer) High() int32 { return int32(uint32(a.Value >> 32)) }

// Trap is a call that a module did not end.
type Trap struct {
	// Reason is what the runtime or the host says, Said what the guest wrote to standard error.
	Reason, Said string

	// OutOfFuel says that the module's own metering ended the call, OutOfBounds that the host did.
	OutOfFuel, OutOfBounds bool
}

// Error puts the guest's own words first.
func (t *Trap) Error() string {
	if t.Said == "" {
		return t.Reason
	}
	return t.Said + ": " + t.Reason
}

// Call calls an export. The answer is valid until the next call. After an error, which is a *Trap, the instance is in the
// middle of something and must be closed.
func (i *Instance) Call(point Point, call *Call) (*Answer, error) {
	function := i.functions[point]
	if function == nil {
		return nil, &Trap{Reason: fmt.Sprintf("the module exports no %s", point)}
	}
	i.begin(call)
	i.stack[0] = 0
	if err := i.run(function); err != nil {
		return nil, err
	}
	if points[point].result == api.ValueTypeI32 {
		i.stack[0] = uint64(uint32(i.stack[0]))
	}
	i.answer.Value = i.stack[0]
	i.call = nil
	return &i.answer, nil
}

func (i *Instance) begin(call *Call) {
	i.call, i.answer, i.spent = call, Answer{}, spent{stderr: i.spent.stderr[:0]}
}

func (i *Instance) run(function api.Function) error {
	ctx := i.ctx
	if limit := i.program.limits.Time; limit > 0 {
		bounded, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		ctx = bounded
	}
	err := function.CallWithStack(ctx, i.stack[:])
	var exit *sys.ExitError
	if err == nil || errors.As(err, &exit) && exit.ExitCode() == 0 {
		return nil
	}
	return i.trapped(err)
}

// trapped is an error of the runtime in the words of the module's author. The runtime appends the module's stack, whose
// first line says what happened.
func (i *Instance) trapped(err error) *Trap {
	trap := &Trap{Said: strings.TrimSpace(strings.ToValidUTF8(string(i.spent.stderr), "?"))}
	var over *overdrawn
	var exit *sys.ExitError
	switch {
	case errors.As(err, &over):
		trap.Reason, trap.OutOfBounds = over.Error(), true
	case errors.As(err, &exit) && exit.ExitCode() == sys.ExitCodeDeadlineExceeded:
		trap.Reason, trap.OutOfBounds = fmt.Sprintf("it did not return within %v", i.program.limits.Time), true
	default:
		trap.Reason, _, _ = strings.Cut(err.Error(), "\n")
	}
	trap.OutOfFuel = i.outOfFuel != nil && i.outOfFuel.Get() != 0
	return trap
}

// Close frees the instance's memory.
func (i *Instance) Close() {
	i.program.live.Add(-1)
	_ = i.module.Close(context.Background()) // it only frees memory
}
