package guest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// hostFunction is one of the functions that a module may import. Parameters come in the stack and the result goes there.
type hostFunction struct {
	module, name string
	params       int
	answers      bool
	run          func(i *Instance, stack []uint64)
}

// hostFunctions are all of the ABI, all of whose parameters and results are i32.
var hostFunctions = []hostFunction{
	{"k8s.io/api", "node", 4, true, node},
	{"k8s.io/api", "nodeList", 2, true, nodeList},
	{"k8s.io/scheduler", "currentPod", 2, true, currentPod},
	{"k8s.io/scheduler", "targetPod", 2, true, targetPod},
	{"k8s.io/scheduler", "currentNodeName", 2, true, currentNodeName},
	{"k8s.io/scheduler", "get_config", 2, true, getConfig},
	{"k8s.io/scheduler", "filteredNodeList", 2, true, filteredNodeList},
	{"k8s.io/scheduler", "nodeToStatusMap", 2, true, nodeToStatusMap},
	{"k8s.io/scheduler", "nodeScoreList", 2, true, nodeScoreList},
	{"k8s.io/scheduler", "nodeImageStates", 4, true, nodeImageStates},
	{"k8s.io/scheduler", "result.cluster_events", 2, false, resultClusterEvents},
	{"k8s.io/scheduler", "result.node_names", 2, false, resultNodeNames},
	{"k8s.io/scheduler", "result.nominated_node_name", 2, false, resultNominatedNodeName},
	{"k8s.io/scheduler", "result.status_reason", 2, false, resultStatusReason},
	{"k8s.io/scheduler", "result.normalized_score_list", 2, false, resultNormalizedScoreList},
	{"k8s.io/scheduler", "handle.eventrecorder.eventf", 2, false, eventf},
	{"k8s.io/scheduler", "handle.get_waiting_pod", 4, false, getWaitingPod},
	{"k8s.io/scheduler", "handle.reject_waiting_pod", 4, false, rejectWaitingPod},
	{"k8s.io/klog", "log", 3, false, klogLog},
	{"k8s.io/klog", "logs", 5, false, klogLogs},
	{"k8s.io/klog", "severity", 0, true, klogSeverity},
}

// linkHost offers the ABI's functions to every module of a runtime, and those of WASI that compilers link into programs.
// Of WASI the host writes fd_write itself, since that is where a guest's words come out.
func linkHost(ctx context.Context, runtime wazero.Runtime) error {
	builders := map[string]wazero.HostModuleBuilder{}
	for _, function := range hostFunctions {
		builder, ok := builders[function.module]
		if !ok {
			builder = runtime.NewHostModuleBuilder(function.module)
			builders[function.module] = builder
		}
		function.export(builder)
	}
	wasi := runtime.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(wasi)
	hostFunction{"wasi_snapshot_preview1", "fd_write", 4, true, fdWrite}.export(wasi)
	builders[wasi_snapshot_preview1.ModuleName] = wasi
	for _, builder := range builders {
		if _, err := builder.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f hostFunction) export(to wazero.HostModuleBuilder) {
	params := make([]api.ValueType, f.params)
	for i := range params {
		params[i] = api.ValueTypeI32
	}
	var results []api.ValueType
	if f.answers {
		results = []api.ValueType{api.ValueTypeI32}
	}
	run := f.run
	to.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, module api.Module, stack []uint64) {
		run(calling(ctx, module), stack)
	}), params, results).Export(f.name)
}

// low is an i32 of the stack, whose upper half may hold anything.
func low(stack []uint64) []uint64 {
	for i := range stack {
		stack[i] = uint64(uint32(stack[i]))
	}
	return stack
}

func currentPod(i *Instance, stack []uint64) {
	in := low(stack)
	stack[0] = i.writeText(i.call.Pod, in[0], in[1])
}

func targetPod(i *Instance, stack []uint64) {
	in := low(stack)
	stack[0] = i.writeText(i.call.Target, in[0], in[1])
}

func currentNodeName(i *Instance, stack []uint64) {
	in := low(stack)
	stack[0] = i.writeText(i.call.NodeName, in[0], in[1])
}

func getConfig(i *Instance, stack []uint64) {
	in := low(stack)
	stack[0] = i.writeText(i.settings.Config, in[0], in[1])
}

// mostName is longer than the name of any object.
const mostName = 256

func node(i *Instance, stack []uint64) {
	in := low(stack)
	var message string
	if name := i.text(in[0], in[1], mostName); i.call.Nodes != nil {
		message = i.call.Nodes.Node(name)
	}
	stack[0] = i.writeText(message, in[2], in[3])
}

func nodeList(i *Instance, stack []uint64) {
	in := low(stack)
	var message string
	if i.call.Nodes != nil {
		message = i.call.Nodes.List()
	}
	stack[0] = i.writeText(message, in[0], in[1])
}

func nodeImageStates(i *Instance, stack []uint64) {
	in := low(stack)
	states := map[string]ImageState{}
	if name := i.text(in[0], in[1], mostName); i.call.Nodes != nil {
		if known := i.call.Nodes.Images(name); known != nil {
			states = known
		}
	}
	stack[0] = i.writeJSON(states, in[2], in[3])
}

func filteredNodeList(i *Instance, stack []uint64) {
	in := low(stack)
	names := []string{}
	if i.call.Filtered != nil {
		names = i.call.Filtered()
	}
	stack[0] = i.writeJSON(names, in[0], in[1])
}

func nodeToStatusMap(i *Instance, stack []uint64) {
	in := low(stack)
	codes := map[string]int32{}
	if i.call.Codes != nil {
		codes = i.call.Codes()
	}
	stack[0] = i.writeJSON(codes, in[0], in[1])
}

func nodeScoreList(i *Instance, stack []uint64) {
	in := low(stack)
	scores := map[string]int64{}
	if i.call.Scores != nil {
		scores = i.call.Scores()
	}
	stack[0] = i.writeJSON(scores, in[0], in[1])
}

// writeJSON encodes maps of names and numbers, which cannot fail.
func (i *Instance) writeJSON(value any, at, limit uint64) uint64 {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return i.write(text, at, limit)
}

// eventBytes is a resource and its action bits.
const eventBytes = 8

// mostEvents is far above the resources that there are.
const mostEvents = 64

func resultClusterEvents(i *Instance, stack []uint64) {
	in := low(stack)
	bytes := i.read(in[0], in[1])
	events := make([]ClusterEvent, 0, min(len(bytes)/eventBytes, mostEvents))
	for ; len(bytes) >= eventBytes && len(events) < mostEvents; bytes = bytes[eventBytes:] {
		events = append(events, ClusterEvent{
			Resource: binary.LittleEndian.Uint32(bytes), Action: binary.LittleEndian.Uint32(bytes[4:]),
		})
	}
	i.answer.Events = events
}

func resultNodeNames(i *Instance, stack []uint64) {
	in := low(stack)
	i.answer.NodeNames = terminated(i.read(in[0], in[1]))
}

// terminated are texts with a zero byte behind each; nil if there are none.
func terminated(bytes []byte) []string {
	var texts []string
	for text := range strings.SplitSeq(string(bytes), "\x00") {
		texts = append(texts, text)
	}
	if last := len(texts) - 1; texts[last] == "" {
		texts = texts[:last]
	}
	if len(texts) == 0 {
		return nil
	}
	return texts
}

func resultNominatedNodeName(i *Instance, stack []uint64) {
	in := low(stack)
	i.answer.Nominated = i.text(in[0], in[1], mostName)
}

func resultStatusReason(i *Instance, stack []uint64) {
	in := low(stack)
	i.answer.Reason = i.text(in[0], in[1], i.program.limits.Reason)
}

func resultNormalizedScoreList(i *Instance, stack []uint64) {
	in := low(stack)
	scores := map[string]int64{}
	if err := json.Unmarshal(i.read(in[0], in[1]), &scores); err == nil {
		i.answer.Scores = scores
	}
}
