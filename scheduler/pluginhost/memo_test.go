package pluginhost

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/events"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/internal/wasmtest"
)

var i32 = []wasmtest.ValueType{wasmtest.I32}

// counter is a guest that answers 3 and 2 (Unschedulable) in turn. It declares itself pure, which is a lie that makes it
// visible whether it was asked.
func counter() *wasmtest.Module {
	m, host := wasmtest.WithHost()
	return m.Func("filter", i32,
		host.ReadCurrentNode(), wasmtest.Drop,
		wasmtest.Global, wasmtest.Const(1), wasmtest.Add, wasmtest.SetGlobal,
		wasmtest.Global, wasmtest.Const(1), wasmtest.And, wasmtest.Const(2), wasmtest.Add).Pure()
}

// remembering starts a slot that trusts its memo (0), or asks for one in so many remembered answers again.
func remembering(t testing.TB, guest *wasmtest.Module, handle framework.Handle, recheckOneIn uint64) *slot {
	t.Helper()
	s, err := testHost(clock.RealClock{}, recheckOneIn).newSlot(context.Background(), t.Name(), Args{AllowUnmetered: true, GuestURL: guest.Write(t)}, handle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// echo is pure in truth; what it answers shows which node it was asked about.
func echo() *wasmtest.Module {
	m, host := wasmtest.WithHost()
	return m.Func("filter", i32, host.ReadCurrentNode(), host.Answer(2)).Pure()
}

func TestPodsThatLookAlikeShareAnAnswer(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("a")})
	plugin := remembering(t, counter(), handle, 0)
	first, second := podOn("job-0", "", "cpu", "1"), podOn("job-1", "", "cpu", "1")
	second.Labels = map[string]string{"batch.kubernetes.io/job-completion-index": "1"}
	other := podOn("other", "", "cpu", "2")

	a := filterWith(plugin, first, info(t, handle, "a")).Code()
	b := filterWith(plugin, second, info(t, handle, "a")).Code()
	c := filterWith(plugin, other, info(t, handle, "a")).Code()

	if a != b || b == c {
		t.Errorf("the answers are %v, %v, %v; want the first two from one call and another for another pod", a, b, c)
	}
}

func TestANodeThatChangedIsAskedAboutAgain(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("a")})
	plugin := remembering(t, echo(), handle, 0)
	pod, on := podOn("p", "", "cpu", "1"), info(t, handle, "a").Snapshot()
	before := told(t, filterWith(plugin, pod, on)).Annotations["node.weir.dev/requested.cpu"]
	addPod(on, podOn("placed", "a", "cpu", "3"))
	after := told(t, filterWith(plugin, pod, on)).Annotations["node.weir.dev/requested.cpu"]
	if before != "0" || after != "3000" {
		t.Errorf("the guest was told of %s and then of %s milli-CPU", before, after)
	}
}

func TestANodeThatChangedInWhatNoGuestIsToldOfIsNotAskedAboutAgain(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("a")})
	plugin := remembering(t, counter(), handle, 0)
	pod, on := podOn("p", "", "cpu", "1"), info(t, handle, "a").Snapshot()
	before := filterWith(plugin, pod, on).Code()
	for beat := range 3 { // its kubelet says that it is alive
		alive := on.Node().DeepCopy()
		alive.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, LastHeartbeatTime: metav1.Unix(int64(beat), 0)}}
		on.SetNode(alive)
		if after := filterWith(plugin, pod, on).Code(); after != before {
			t.Errorf("it was asked again, and answers %v after %v", after, before)
		}
	}
	labelled := on.Node().DeepCopy()
	labelled.Labels["new"] = "yes"
	on.SetNode(labelled)
	if after := filterWith(plugin, pod, on).Code(); after == before {
		t.Error("it was not asked again although its labels have changed")
	}
}

func TestOfSoManyRememberedAnswersOneIsAskedForAgain(t *testing.T) {
	handle := cluster(t, []*v1.Node{node("a")})
	plugin := remembering(t, echo(), handle, 5)
	for range 101 { // the first is not remembered yet
		filterWith(plugin, podOn("p", ""), info(t, handle, "a"))
	}
	if hits := hitsOf(t, plugin); hits != 80 {
		t.Errorf("%d of 100 were answered from memory, want 80", hits)
	}
}

func TestErrorsAreNotRemembered(t *testing.T) {
	m, host := wasmtest.WithHost()
	// Error at the second call, after the self-test; Success ever after.
	guest := m.Func("filter", i32,
		wasmtest.Global, wasmtest.Const(1), wasmtest.Add, wasmtest.SetGlobal,
		host.ReadCurrentNode(), wasmtest.Drop,
		wasmtest.Global, wasmtest.Const(2), wasmtest.Equal).Pure()
	handle := cluster(t, []*v1.Node{node("a")})
	plugin := remembering(t, guest, handle, 0)
	codes := [2]framework.Code{}
	for i := range codes {
		codes[i] = filterWith(plugin, podOn("p", ""), info(t, handle, "a")).Code()
	}
	if codes != [2]framework.Code{framework.Error, framework.Success} {
		t.Errorf("the answers are %v, want an Error and then what the module answers anew", codes)
	}
}

func TestAModuleThatLooksAtAnotherNodeIsAskedEachTime(t *testing.T) {
	m, host := wasmtest.WithHost()
	// It reads the node whose name is the first letter of the current node's name.
	guest := m.Func("filter", i32,
		wasmtest.Const(0), wasmtest.Const(512), host.CurrentNodeName, wasmtest.Drop,
		wasmtest.Const(0), wasmtest.Const(1), wasmtest.Const(1024), wasmtest.Const(60000), host.Node,
		host.Answer(2)).Pure()
	handle := cluster(t, []*v1.Node{node("a"), node("ab")}, podOn("p1", "a", "cpu", "1"))
	plugin := remembering(t, guest, handle, 0)
	for range 2 {
		if got := told(t, filterWith(plugin, podOn("p", ""), info(t, handle, "ab"))).Name; got != "a" {
			t.Errorf("the guest was told of %q", got)
		}
	}
	if hits := hitsOf(t, plugin); hits != 0 {
		t.Errorf("%d answers were remembered", hits)
	}
}

func TestAModuleThatIsNotPureLosesItsMemoAndAnEventSaysSo(t *testing.T) {
	recorder := events.NewFakeRecorder(10)
	handle := &recording{cluster(t, []*v1.Node{node("a")}), recorder}
	plugin := remembering(t, counter(), handle, 1)
	for range 3 {
		filterWith(plugin, podOn("p", ""), info(t, handle, "a"))
	}
	select {
	case event := <-recorder.Events:
		if !strings.Contains(event, "PluginNotPure") {
			t.Errorf("the event says %q", event)
		}
	default:
		t.Error("there is no event")
	}
	if row := plugin.cycle(upstream.NewCycleState(), podOn("p", "")).row; row != nil {
		t.Error("its answers are still remembered")
	}
}

type recording struct {
	framework.Handle
	recorder events.EventRecorderLogger
}

func (r *recording) EventRecorder() events.EventRecorderLogger { return r.recorder }

// A node and a pod are drawn anew at each step, sometimes with pods nominated to the node; samples of the nodes' load
// come, and get too old. The memo's answer is compared with that of the same module without a memo.
func TestTheMemoAndDirectCallsNeverDiffer(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 42))
	nodes := manyNodes(12)
	handle := cluster(t, nodes)
	now := testingclock.NewFakeClock(time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC))
	with, without := toldOfLoad(t, now, handle), toldOfLoad(t, now, handle)
	without.current.Load().memo.TurnOff()
	infos := make([]framework.NodeInfo, len(nodes))
	for i, node := range nodes {
		infos[i] = info(t, handle, node.Name)
	}
	loaded := 0
	for step := range 4000 {
		at := random.IntN(len(infos))
		asked := infos[at]
		switch random.IntN(9) {
		case 5: // its kubelet says that it is alive, of which guests are told nothing
			alive := asked.Node().DeepCopy()
			alive.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, LastHeartbeatTime: metav1.NewTime(now.Now())}}
			asked.SetNode(alive)
		case 3: // its load is measured
			for _, s := range []*slot{with, without} {
				if err := s.host.loads.Put(nodeLoad(asked.Node().Name, now.Now(), int64(step))); err != nil {
					t.Fatal(err)
				}
			}
		case 4: // some samples get too old
			now.Step(time.Duration(random.IntN(60)) * time.Second)
		case 0: // a pod is placed there
			addPod(asked, podOn(fmt.Sprintf("placed-%d", step), asked.Node().Name, "cpu", fmt.Sprintf("%dm", random.IntN(9))))
		case 1: // the node changes
			changed := asked.Node().DeepCopy()
			changed.Labels["step"] = fmt.Sprint(step)
			asked.SetNode(changed)
		case 2: // a pod is nominated to it, for this call only
			asked = asked.Snapshot()
			addPod(asked, podOn(fmt.Sprintf("nominated-%d", step), asked.Node().Name, "cpu", "1"))
		}
		pod := podOn("p", "", "cpu", fmt.Sprint(1+random.IntN(4)))
		got, want := filterWith(with, pod, asked), filterWith(without, pod, asked)
		if got.Code() != want.Code() || got.Message() != want.Message() {
			t.Fatalf("step %d: the memo answers %v %q, the module %v %q", step, got.Code(), got.Message(), want.Code(), want.Message())
		}
		if told(t, got).Annotations["node.weir.dev/load.cpu"] != "" {
			loaded++
		}
	}
	if hits := hitsOf(t, with); hits < 500 || loaded < 500 || loaded > 3500 {
		t.Errorf("%d of 4000 answers were remembered, in %d a load was told: the test shows nothing", hits, loaded)
	}
}

// toldOfLoad is a slot that trusts its memo and tells loads that are up to three minutes old.
func toldOfLoad(t *testing.T, now clock.Clock, handle framework.Handle) *slot {
	t.Helper()
	host := testHost(now, 0)
	host.watching = true // the test measures
	args := Args{AllowUnmetered: true, GuestURL: echo().Write(t), LoadFreshFor: metav1.Duration{Duration: 3 * time.Minute}}
	s, err := host.newSlot(t.Context(), t.Name(), args, handle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func nodeLoad(node string, taken time.Time, milliCPU int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": node},
		"spec": map[string]any{
			"sampleTime": taken.Format(time.RFC3339), "windowSeconds": int64(30), "usage": map[string]any{"cpu": fmt.Sprintf("%dm", milliCPU)},
		},
	}}
}

func TestTheMemoIsSafeUnderParallelCalls(t *testing.T) {
	handle := cluster(t, manyNodes(32))
	plugin := remembering(t, echo(), handle, 2)
	nodes, err := handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		t.Fatal(err)
	}
	for round := range 20 {
		state, pod := upstream.NewCycleState(), podOn(fmt.Sprint(round), "", "cpu", fmt.Sprint(1+round%3))
		var calls sync.WaitGroup
		for _, node := range nodes {
			calls.Add(1)
			go func() {
				defer calls.Done()
				status := plugin.Filter(context.Background(), state, pod, node)
				if got := told(t, status).Name; got != node.Node().Name {
					t.Errorf("a call about %s was answered for %s", node.Node().Name, got)
				}
			}()
		}
		calls.Wait()
	}
}

func hitsOf(t *testing.T, plugin *slot) int {
	t.Helper()
	hits, counted := uint64(0), plugin.current.Load().metrics[guest.Filter]
	for code := range counted.found {
		hits += counted.hits(code)
	}
	return int(hits)
}
