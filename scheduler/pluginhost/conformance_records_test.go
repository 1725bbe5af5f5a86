package pluginhost

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/internal/wasmtest"
)

// recordings are the calls of the comparison, made in our host: of our modules about random pods and nodes, of the SDK's
// example at every point, of small guests that ask one host function each, and of other people's modules where PEERS names
// a folder with them.
func recordings(t *testing.T, fault hostFault) []recordedCall {
	t.Helper()
	r := &recorder{t: t, fault: fault, loaded: map[[2]string]*version{}, handle: &recordedHandle{}}
	random := rand.New(rand.NewPCG(15, 9))
	r.ourModules(random)
	r.everyPoint(random)
	r.hostFunctions(t)
	r.everyCode(t)
	r.normalizing(t)
	r.binding(t)
	r.wasi(t)
	r.peers(random)
	return r.all
}

func pathOf(url string) string { return strings.TrimPrefix(url, "file://") }

func pick[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

// aCluster is a few nodes of all kinds with pods on them.
func aCluster(random *rand.Rand) []*upstream.NodeInfo {
	var nodes []*upstream.NodeInfo
	for i := range 1 + random.IntN(3) {
		name := fmt.Sprintf("node-%d-%d", i, random.IntN(1000))
		var offered []string
		if random.IntN(3) > 0 {
			offered = []string{"nvidia.com/gpu", pick(random, "0", "4", "8")}
		}
		made := node(name, offered...)
		for _, key := range []string{"gpu-node-label-model", "nvidia.com/gpu.product", "zone"} {
			if random.IntN(2) == 0 {
				made.Labels[key] = pick(random, "G3", "T4", "V100M32", "east", "NVIDIA_H100_80GB_HBM3")
			}
		}
		info := upstream.NewNodeInfo()
		info.SetNode(made)
		for j := range random.IntN(4) {
			info.AddPod(podOn(fmt.Sprintf("on-%d", j), name, "cpu", "1", "nvidia.com/gpu", fmt.Sprint(random.IntN(3))))
		}
		nodes = append(nodes, info)
	}
	return nodes
}

// aPod asks for this and that, and names some kind of node or none.
func aPod(random *rand.Rand) *v1.Pod {
	var requests []string
	if random.IntN(3) > 0 {
		requests = append(requests, "cpu", pick(random, "100m", "1", "4"))
	}
	if random.IntN(2) == 0 {
		requests = append(requests, "nvidia.com/gpu", pick(random, "0", "1", "8"))
	}
	made := podOn(fmt.Sprintf("pod-%d", random.IntN(10_000)), "", requests...)
	made.Labels = map[string]string{"job": fmt.Sprint(random.IntN(50))}
	if random.IntN(3) == 0 {
		made.Spec.NodeSelector = map[string]string{"gpu-node-label-model": pick(random, "G3", "T4", "unknown")}
	}
	if random.IntN(5) == 0 {
		made.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{
			NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchExpressions: []v1.NodeSelectorRequirement{{
				Key: "gpu-node-label-model", Operator: v1.NodeSelectorOpIn, Values: []string{pick(random, "G3", "T4"), "V100M32"},
			}}}},
		}}}
	}
	return made
}

func (r *recorder) ourModules(random *rand.Rand) {
	urls := ourModules(r.t)
	for _, each := range []struct {
		name     string
		at       []guest.Point
		settings []string
	}{
		{"gpu-filter", []guest.Point{guest.Filter}, []string{"", `{"gpuResources": ["nvidia.com/gpu", "nvidia.com/mig-*"]}`}},
		{"sku-exclusion-filter", []guest.Point{guest.Filter}, []string{`{"models":[{"model":"G3","gpusPerHost":8}]}`,
			`{"labelKeys":["gpu-node-label-model","nvidia.com/gpu.product"],"models":[{"model":"NVIDIA_H100_80GB_HBM3","aliases":["H100"],"gpusPerHost":8}]}`}},
		{"binpack-score", []guest.Point{guest.PreScore, guest.Score}, []string{"",
			`{"strategy": "FragmentationAware", "typicalPods": [{"cpu": "8", "gpus": 1, "weight": 3}, {"cpu": "64", "gpus": 8, "weight": 1}]}`}},
		{"loadaware-score", []guest.Point{guest.PreScore, guest.Score}, []string{"", `{"cpuThresholdPercent": 65}`}},
	} {
		for range 220 {
			nodes := aCluster(random)
			call := given{
				module: pathOf(urls[each.name]), settings: pick(random, each.settings...), pod: aPod(random),
				nodes: nodes, node: nodes[random.IntN(len(nodes))].Node().Name,
			}
			for _, at := range each.at {
				call.at = at
				r.make(call)
			}
		}
		for _, settings := range each.settings {
			if each.at[0] == guest.Filter {
				r.make(given{module: pathOf(urls[each.name]), settings: settings, at: guest.Enqueue})
			}
		}
	}
}

// guestsFolder is where `make guests` leaves the SDK's examples, beside the plugins.
func guestsFolder(t *testing.T) string {
	folder := os.Getenv("WEIR_PLUGINS")
	if folder == "" {
		folder = filepath.Join("..", "..", "target", "plugins")
	}
	path, err := filepath.Abs(filepath.Join(folder, "..", "guests"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (r *recorder) everyPoint(random *rand.Rand) {
	module := filepath.Join(guestsFolder(r.t), "every_point.wasm")
	if _, err := os.Stat(module); err != nil {
		r.t.Fatalf("%v: run `make guests` first", err)
	}
	points := []guest.Point{
		guest.PreFilter, guest.Filter, guest.AddPod, guest.RemovePod, guest.PostFilter, guest.PreScore, guest.Score, guest.Reserve,
		guest.Permit, guest.Unreserve, guest.Enqueue,
	}
	for range 60 {
		nodes, pod := aCluster(random), aPod(random)
		chosen := nodes[random.IntN(len(nodes))].Node().Name
		codes := map[string]int{}
		for _, each := range nodes {
			codes[each.Node().Name] = 2 + random.IntN(2)
		}
		if random.IntN(2) == 0 {
			pod.Labels["refuse"] = pick(random, points...).Export()
		}
		if random.IntN(3) == 0 {
			pod.Labels["only"] = chosen
		}
		switch random.IntN(4) {
		case 0:
			pod.Labels["waits"] = fmt.Sprint(random.IntN(100))
		case 1:
			pod.Labels["frees"] = pick(random, "waiter", "nobody")
		}
		for _, at := range points {
			r.make(given{
				module: module, at: at, pod: pod, target: podOn("other", chosen, "cpu", "1"), nodes: nodes, node: chosen,
				images: []string{"example.com/train:1", "example.com/serve:2"}, codes: codes,
				waiting: map[string]*v1.Pod{"waiter": podOn("waiter", "", "cpu", "1")},
			})
		}
	}
}

// hostFunctions asks each function that answers with bytes, and answers with what it was told.
func (r *recorder) hostFunctions(t *testing.T) {
	two, four := twoOf(wasmtest.I32), append(twoOf(wasmtest.I32), twoOf(wasmtest.I32)...)
	for _, each := range []struct {
		module, name string
		named        bool
		at           guest.Point
		code         int32
		echo         func() message
	}{
		{"k8s.io/scheduler", "currentPod", false, guest.Filter, 2, aMessage[v1.Pod]},
		{"k8s.io/scheduler", "currentNodeName", false, guest.Filter, 3, nil},
		{"k8s.io/scheduler", "get_config", false, guest.Filter, 2, nil},
		{"k8s.io/api", "node", true, guest.Filter, 2, aMessage[v1.Node]},
		{"k8s.io/api", "nodeList", false, guest.Filter, 2, aMessage[v1.NodeList]},
		{"k8s.io/scheduler", "nodeImageStates", true, guest.Filter, 2, nil},
		{"k8s.io/scheduler", "targetPod", false, guest.AddPod, 2, aMessage[v1.Pod]},
		{"k8s.io/scheduler", "targetPod", false, guest.RemovePod, 2, aMessage[v1.Pod]},
		{"k8s.io/scheduler", "filteredNodeList", false, guest.PreScore, 1, nil},
		{"k8s.io/scheduler", "nodeToStatusMap", false, guest.PostFilter, 2, nil},
	} {
		m := wasmtest.New()
		reason := m.Import("k8s.io/scheduler", "result.status_reason", two, nil)
		const at, limit = 1024, 60000
		ask := wasmtest.Code{}
		if each.named {
			name := m.Import("k8s.io/scheduler", "currentNodeName", two, i32)
			function := m.Import(each.module, each.name, four, i32)
			ask = joined(wasmtest.Const(0), wasmtest.Const(0), wasmtest.Const(512), name, wasmtest.Const(at), wasmtest.Const(limit), function)
		} else {
			function := m.Import(each.module, each.name, two, i32)
			ask = joined(wasmtest.Const(at), wasmtest.Const(limit), function)
		}
		body := joined(ask, wasmtest.SetLocal, wasmtest.Const(at), wasmtest.Local, reason)
		m.Func("filter", i32, pointBody(each.at, guest.Filter, body, each.code))
		switch each.at {
		case guest.AddPod, guest.RemovePod:
			m.Func("prefilter", i32, wasmtest.Const(0))
			m.Func(each.at.Export(), i32, body, wasmtest.Const(each.code))
		case guest.PreScore:
			m.Func("score", []wasmtest.ValueType{wasmtest.I64}, wasmtest.Const64(0))
			m.Func("prescore", i32, body, wasmtest.Const(each.code))
		case guest.PostFilter:
			m.Func("postfilter", []wasmtest.ValueType{wasmtest.I64}, body, wasmtest.Const64(int64(each.code)))
		}
		path := pathOf(m.Write(t))
		for nodes := range 12 {
			var cluster []*upstream.NodeInfo
			codes := map[string]int{}
			for i := range nodes + 1 {
				info := upstream.NewNodeInfo()
				info.SetNode(node(fmt.Sprintf("n%d", i)))
				cluster, codes[info.Node().Name] = append(cluster, info), i%4
			}
			pod := podOn("asker", "", "cpu", "1")
			pod.UID = types.UID(fmt.Sprint("asker-", nodes))
			r.make(given{
				module: path, settings: fmt.Sprint("settings ", nodes), at: each.at, pod: pod, target: podOn("target", "n0", "cpu", "2"),
				nodes: cluster, node: "n0", images: []string{"example.com/a:1"}, codes: codes,
				echo: each.echo,
			})
		}
	}
}

// aMessage makes an object of the API.
func aMessage[T any, P interface {
	*T
	message
}]() message {
	return P(new(T))
}

// pointBody is the body at the point that a guest is about, and success at another.
func pointBody(at, here guest.Point, body wasmtest.Code, code int32) wasmtest.Code {
	if at != here {
		return wasmtest.Const(0)
	}
	return joined(body, wasmtest.Const(code))
}

func twoOf(each wasmtest.ValueType) []wasmtest.ValueType { return []wasmtest.ValueType{each, each} }

func joined(codes ...wasmtest.Code) wasmtest.Code {
	var all wasmtest.Code
	for _, each := range codes {
		all = append(all, each...)
	}
	return all
}

// everyCode answers each code at each point, those included that the point does not have.
func (r *recorder) everyCode(t *testing.T) {
	i64 := []wasmtest.ValueType{wasmtest.I64}
	for code := range int32(7) {
		plain := func(exports ...string) *wasmtest.Module {
			m := wasmtest.New()
			for _, export := range exports {
				m.Func(export, i32, wasmtest.Const(code))
			}
			return m
		}
		// One module cannot have all of them: the extension takes some sets of points and not others.
		for _, each := range []struct {
			module *wasmtest.Module
			at     []guest.Point
		}{
			{plain("prefilter", "filter").Func("postfilter", i64, wasmtest.Const64(int64(code))), []guest.Point{guest.PreFilter, guest.Filter, guest.PostFilter}},
			{plain("prescore").Func("score", i64, wasmtest.Const64(int64(code)*10<<32)), []guest.Point{guest.PreScore, guest.Score}},
			{plain("reserve").Func("unreserve", nil), []guest.Point{guest.Reserve}},
			{wasmtest.New().Func("permit", i64, wasmtest.Const64(int64(code)<<32|1500)).Func("postbind", nil), []guest.Point{guest.Permit}},
			{wasmtest.New().Func("filter", i32, wasmtest.Trap), []guest.Point{guest.Filter}},
			{wasmtest.New().Func("score", i64, wasmtest.Const64(101<<32)), []guest.Point{guest.Score}},
		} {
			path := pathOf(each.module.Write(t))
			for round := range 3 {
				info := upstream.NewNodeInfo()
				info.SetNode(node("n"))
				call := given{module: path, pod: podOn(fmt.Sprint("p", round), ""), nodes: []*upstream.NodeInfo{info}, node: "n"}
				for _, at := range each.at {
					call.at = at
					r.make(call)
				}
			}
		}
	}
}

// peers are other people's modules, in TinyGo.
func (r *recorder) peers(random *rand.Rand) {
	folder := os.Getenv("PEERS")
	if folder == "" {
		return
	}
	for _, each := range []struct {
		name, settings string
		at             []guest.Point
	}{
		{"filter", "", []guest.Point{guest.PreFilter, guest.Filter}},
		{"score", "", []guest.Point{guest.PreFilter, guest.PreScore, guest.Score}},
		{"nodenumber", `{"reverse": true}`, []guest.Point{guest.PreFilter, guest.PreScore, guest.Score, guest.Enqueue}},
	} {
		for range 60 {
			nodes := aCluster(random)
			pod := aPod(random)
			pod.Spec.NodeName = pick(random, "", nodes[0].Node().Name)
			for _, at := range each.at {
				r.make(given{
					module: filepath.Join(folder, each.name+".wasm"), settings: each.settings, at: at, pod: pod, nodes: nodes,
					node: nodes[0].Node().Name,
				})
			}
		}
	}
}
