package pluginhost

import (
	"fmt"
	"testing"

	upstream "k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/internal/wasmtest"
)

// Recorded calls at the points after the filters, and of what compilers link into every module.

// aNode is a cluster of one node.
func aNode(name string) []*upstream.NodeInfo {
	info := upstream.NewNodeInfo()
	info.SetNode(node(name))
	return []*upstream.NodeInfo{info}
}

// normalizing hands the scores on as it is told them.
func (r *recorder) normalizing(t *testing.T) {
	const at, limit = 1024, 60000
	m := wasmtest.New()
	scores := m.Import("k8s.io/scheduler", "nodeScoreList", twoOf(wasmtest.I32), i32)
	normalized := m.Import("k8s.io/scheduler", "result.normalized_score_list", twoOf(wasmtest.I32), nil)
	reason := m.Import("k8s.io/scheduler", "result.status_reason", twoOf(wasmtest.I32), nil)
	m.Func("score", []wasmtest.ValueType{wasmtest.I64}, wasmtest.Const64(0))
	m.Func("normalizescore", i32, wasmtest.Const(at), wasmtest.Const(limit), scores, wasmtest.SetLocal,
		wasmtest.Const(at), wasmtest.Local, normalized, wasmtest.Const(at), wasmtest.Local, reason, wasmtest.Const(0))
	path := pathOf(m.Write(t))
	for nodes := range 40 {
		told := map[string]int64{}
		for i := range nodes + 1 {
			told[fmt.Sprintf("n%d", i)] = int64(i*7) % 101
		}
		pod := podOn(fmt.Sprint("normalized-", nodes), "")
		r.make(given{module: path, at: guest.NormalizeScore, pod: pod, nodes: aNode("n0"), node: "n0", scores: told})
	}
}

// binding goes through the points after Reserve with one pod after the other, and answers each with what it is told of pod
// and node.
func (r *recorder) binding(t *testing.T) {
	const at, limit = 1024, 60000
	for _, points := range [][]guest.Point{ // the extension panics at PreBind of a module without Bind
		{guest.Permit, guest.Bind, guest.PostBind},
		{guest.Permit, guest.PreBind, guest.Bind, guest.PostBind},
		{guest.Reserve, guest.Unreserve}, // the extension takes no module with Permit beside them
	} {
		for code := range int32(3) {
			m := wasmtest.New()
			name := m.Import("k8s.io/scheduler", "currentNodeName", twoOf(wasmtest.I32), i32)
			pod := m.Import("k8s.io/scheduler", "currentPod", twoOf(wasmtest.I32), i32)
			reason := m.Import("k8s.io/scheduler", "result.status_reason", twoOf(wasmtest.I32), nil)
			says := joined(wasmtest.Const(at), wasmtest.Const(limit), pod, wasmtest.Drop,
				wasmtest.Const(at), wasmtest.Const(limit), name, wasmtest.SetLocal, wasmtest.Const(at), wasmtest.Local, reason)
			for _, point := range points {
				switch point {
				case guest.Permit:
					m.Func(point.Export(), []wasmtest.ValueType{wasmtest.I64}, says, wasmtest.Const64(int64(code)<<32|250))
				case guest.PostBind, guest.Unreserve:
					m.Func(point.Export(), nil, says)
				default:
					m.Func(point.Export(), i32, says, wasmtest.Const(code))
				}
			}
			path := pathOf(m.Write(t))
			for round := range 8 {
				call := given{module: path, pod: podOn(fmt.Sprint("bound-", code, "-", round), ""), nodes: aNode("chosen"), node: "chosen"}
				for _, point := range points {
					call.at = point
					r.make(call)
				}
			}
		}
	}
}

// wasi answers with what the functions of WASI leave in memory, and with their error number.
func (r *recorder) wasi(t *testing.T) {
	const at, bytes = 1024, 16
	four := append(twoOf(wasmtest.I32), twoOf(wasmtest.I32)...)
	for name, ask := range map[string]struct {
		params []wasmtest.ValueType
		call   wasmtest.Code
	}{
		"args_sizes_get":    {twoOf(wasmtest.I32), joined(wasmtest.Const(at), wasmtest.Const(at+4))},
		"environ_sizes_get": {twoOf(wasmtest.I32), joined(wasmtest.Const(at), wasmtest.Const(at+4))},
		"fd_write":          {four, joined(wasmtest.Store8(512, 16), wasmtest.Store8(516, 9), wasmtest.Const(1), wasmtest.Const(512), wasmtest.Const(1), wasmtest.Const(at))},
		"fd_read":           {four, joined(wasmtest.Const(0), wasmtest.Const(512), wasmtest.Const(0), wasmtest.Const(at))},
		"fd_close":          {i32, wasmtest.Const(99)},
	} {
		m := wasmtest.New()
		function := m.Import("wasi_snapshot_preview1", name, ask.params, i32)
		reason := m.Import("k8s.io/scheduler", "result.status_reason", twoOf(wasmtest.I32), nil)
		m.Func("filter", i32, ask.call, function, wasmtest.SetLocal,
			wasmtest.Const(at+bytes-4), wasmtest.Local, wasmtest.Code{0x3a, 0x00, 0x00}, // the error number, in a byte
			wasmtest.Const(at), wasmtest.Const(bytes), reason, wasmtest.Const(2))
		r.make(given{module: pathOf(m.Write(t)), at: guest.Filter, pod: podOn("asks-"+name, ""), nodes: aNode("n"), node: "n"})
	}
}
