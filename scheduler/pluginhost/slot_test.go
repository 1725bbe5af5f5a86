package pluginhost

import (
	"context"
	"strings"
	"sync"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/internal/wasmtest"
)

func TestAGuestIsToldWhatIsRequestedOnTheNode(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("a", "nvidia.com/gpu", "8")},
		podOn("p1", "a", "cpu", "1500m", "memory", "1Gi", "nvidia.com/gpu", "2"), podOn("p2", "a", "cpu", "250m"))
	plugin := start(t, wasmtest.NodeEcho(), handle)

	got := told(t, filterWith(plugin, podOn("p", ""), info(t, handle, "a")))

	for key, want := range map[string]string{
		"node.weir.dev/requested.cpu":               "1750",
		"node.weir.dev/requested.memory":            "1073741824",
		"node.weir.dev/requested.ephemeral-storage": "0",
		"node.weir.dev/requested.nvidia.com/gpu":    "2",
		"node.weir.dev/requested-pods":              "2",
	} {
		if got.Annotations[key] != want {
			t.Errorf("%s is %q, want %q", key, got.Annotations[key], want)
		}
	}
}

func TestFilterIsToldOfTheNodeInfoThatItWasCalledWithAndNotOfTheSnapshots(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("a")})
	plugin := start(t, wasmtest.NodeEcho(), handle)
	withNominated := info(t, handle, "a").Snapshot()
	addPod(withNominated, podOn("nominated", "a", "cpu", "4"))

	before := told(t, filterWith(plugin, podOn("p", ""), info(t, handle, "a")))
	during := told(t, filterWith(plugin, podOn("p", ""), withNominated))
	after := told(t, filterWith(plugin, podOn("p", ""), info(t, handle, "a")))

	got := [3]string{}
	for i, node := range []*v1.Node{before, during, after} {
		got[i] = node.Annotations["node.weir.dev/requested.cpu"]
	}
	if want := [3]string{"0", "4000", "0"}; got != want {
		t.Errorf("requested CPU was told as %v, want %v", got, want)
	}
}

func TestParallelCallsEachSeeTheirOwnNode(t *testing.T) {
	handle := cluster(t, manyNodes(64))
	plugin := start(t, wasmtest.NodeEcho(), handle)
	nodes, err := handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for _, node := range nodes {
		calls.Add(1)
		go func() {
			defer calls.Done()
			for range 20 {
				if got := told(t, filterWith(plugin, podOn("p", ""), node)).Name; got != node.Node().Name {
					t.Errorf("a call about %s was told of %s", node.Node().Name, got)
				}
			}
		}()
	}
	calls.Wait()
}

// A guest that dirties a global and traps on nodes whose name has four letters; elsewhere it answers the global.
func trapper() *wasmtest.Module {
	m, host := wasmtest.WithHost()
	return m.Func("filter", []wasmtest.ValueType{wasmtest.I32},
		wasmtest.Const(0), wasmtest.Const(512), host.CurrentNodeName, wasmtest.Const(4), wasmtest.Equal,
		wasmtest.If(wasmtest.Const(2), wasmtest.SetGlobal, wasmtest.Trap),
		wasmtest.Global)
}

func TestATrapIsAnErrorOfThatCallAndTheNextStartsWithFreshMemory(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("trap"), node("sound")})
	plugin := start(t, trapper(), handle)

	status := filterWith(plugin, podOn("p", ""), info(t, handle, "trap"))
	if status.Code() != framework.Error || !strings.Contains(status.Message(), "plugin Test") || !strings.Contains(status.Message(), "unreachable") {
		t.Errorf("a trap is answered as %v %q, want an Error that names plugin and reason", status.Code(), status.Message())
	}
	if status := filterWith(plugin, podOn("another", "", "cpu", "1"), info(t, handle, "sound")); !status.IsSuccess() {
		t.Errorf("after a trap the guest still has the global that it set before: %v", status)
	}
}

func TestAStatusCodeThatDoesNotExistIsAnError(t *testing.T) {
	m, host := wasmtest.WithHost()
	guest := m.Func("filter", []wasmtest.ValueType{wasmtest.I32},
		wasmtest.Const(0), wasmtest.Const(512), host.CurrentNodeName, wasmtest.Const(4), wasmtest.Equal,
		wasmtest.If(wasmtest.Const(99), wasmtest.SetGlobal),
		wasmtest.Global)
	handle := cluster(t, []*v1.Node{node("code")})

	status := filterWith(start(t, guest, handle), podOn("p", ""), info(t, handle, "code"))

	if want := "status code 99"; status.Code() != framework.Error || !strings.Contains(status.Message(), want) {
		t.Errorf("got %v %q, want an Error with %q", status.Code(), status.Message(), want)
	}
}

func TestATrapInEnqueueIsAnErrorAndNotTheEndOfTheProcess(t *testing.T) {
	guest := wasmtest.New().
		Func("enqueue", nil, wasmtest.Trap).
		Func("filter", []wasmtest.ValueType{wasmtest.I32}, wasmtest.Const(0))

	_, err := start(t, guest, cluster(t, nil)).(framework.EnqueueExtensions).EventsToRegister(context.Background())

	if err == nil || !strings.Contains(err.Error(), "plugin Test") || !strings.Contains(err.Error(), "enqueue") {
		t.Errorf("got %v, want an error that names plugin and extension point", err)
	}
}

// noSnapshot is a scheduler outside its cycle, when nobody may read the snapshot.
type noSnapshot struct {
	framework.Handle
	t       *testing.T
	inCycle bool
}

func (h *noSnapshot) SnapshotSharedLister() framework.SharedLister {
	if !h.inCycle {
		h.t.Error("the snapshot was read outside the scheduling cycle")
	}
	return h.Handle.SnapshotSharedLister()
}

func TestOutsideTheCycleAGuestSeesTheNodesThatWereCaptured(t *testing.T) {
	m, host := wasmtest.WithHost()
	i32 := []wasmtest.ValueType{wasmtest.I32}
	guest := m.
		Func("filter", i32, host.ReadCurrentNode(), wasmtest.Drop, wasmtest.Const(0)).
		Func("prebind", i32, host.ReadCurrentNode(), host.Answer(2)).
		Func("bind", i32, wasmtest.Const(5))
	handle := &noSnapshot{Handle: cluster(t, []*v1.Node{node("a")}, podOn("p1", "a", "cpu", "1")), t: t, inCycle: true}
	plugin := startWith(t, Args{AllowUnmetered: true, GuestURL: guest.Write(t)}, handle)
	pod := podOn("p", "")
	if status := filterWith(plugin, pod, info(t, handle, "a")); !status.IsSuccess() {
		t.Fatal(status.AsError())
	}

	handle.inCycle = false
	status := plugin.(framework.PreBindPlugin).PreBind(context.Background(), upstream.NewCycleState(), pod, "a")

	if got := told(t, status).Annotations["node.weir.dev/requested.cpu"]; got != "1000" {
		t.Errorf("the guest was told %q of requested CPU, want 1000 as it was in the cycle", got)
	}
}

func TestAModuleThatTrapsInItsSelfTestIsRefusedWithItsReason(t *testing.T) {
	guest := wasmtest.New().Func("filter", []wasmtest.ValueType{wasmtest.I32}, wasmtest.Trap)

	_, err := newPlugin("Test", Args{AllowUnmetered: true, GuestURL: guest.Write(t)}, cluster(t, nil))

	if err == nil || !strings.Contains(err.Error(), "self-test") || !strings.Contains(err.Error(), "unreachable") {
		t.Errorf("got %v, want a refusal that says why", err)
	}
}

// A guest whose answer is Error when its settings are not empty, with the settings as the reason.
func TestSettingsThatTheGuestRefusesStopTheStartWithTheGuestsWords(t *testing.T) {
	m, host := wasmtest.WithHost()
	guest := m.Func("filter", []wasmtest.ValueType{wasmtest.I32},
		wasmtest.Const(1024), wasmtest.Const(60000), host.Config, host.Answer(1))
	args := Args{AllowUnmetered: true, GuestURL: guest.Write(t), GuestConfig: "settings: unknown key gpuNamse"}

	_, err := newPlugin("Test", args, cluster(t, nil))

	if err == nil || !strings.Contains(err.Error(), "unknown key gpuNamse") || !strings.Contains(err.Error(), "guest.wasm") {
		t.Errorf("got %v, want the module's file and the guest's words", err)
	}
}
