package pluginhost

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/clock"

	"weir.dev/scheduler/internal/wasmtest"
	"weir.dev/scheduler/nodeview"
)

// kept and spare are labels that make Nodes of two sizes, by which a guest can tell them apart.
const (
	kept  = "kept for others"
	spare = "spare"
)

func ofKind(number int, kind string) framework.NodeInfo {
	labelled := node(fmt.Sprintf("node-%04d", number))
	labelled.Labels["kind"] = kind
	info := upstream.NewNodeInfo()
	info.SetNode(labelled)
	return info
}

// rejectsKept is a pure filter that rejects the nodes that are as large as one that is kept.
func rejectsKept(t *testing.T) *wasmtest.Module {
	t.Helper()
	size := len(nodeview.Detail{WithoutRequests: true}.View(ofKind(0, kept)).Message())
	m, host := wasmtest.WithHost()
	return m.Func("filter", i32, host.ReadCurrentNode(), wasmtest.Const(int32(size)), wasmtest.Equal, wasmtest.SetLocal,
		wasmtest.Local, wasmtest.Local, wasmtest.Add).Pure()
}

// changing is a scheduler's snapshot that a test may change between two cycles.
type changing struct {
	framework.Handle
	nodes []framework.NodeInfo
}

func (c *changing) SnapshotSharedLister() framework.SharedLister {
	return changingSnapshot{c.Handle.SnapshotSharedLister(), c}
}

type changingSnapshot struct {
	framework.SharedLister
	of *changing
}

func (c changingSnapshot) NodeInfos() framework.NodeInfoLister { return changingNodes{c.of} }

type changingNodes struct{ *changing }

func (c changingNodes) List() ([]framework.NodeInfo, error)                     { return c.nodes, nil }
func (c changingNodes) HavePodsWithAffinityList() ([]framework.NodeInfo, error) { return nil, nil }
func (c changingNodes) HavePodsWithRequiredNonHostScopedAntiAffinityList() ([]framework.NodeInfo, error) {
	return nil, nil
}
func (c changingNodes) HavePodsWithRequiredAntiAffinityList() ([]framework.NodeInfo, error) {
	return nil, nil
}
func (c changingNodes) Get(name string) (framework.NodeInfo, error) {
	at := slices.IndexFunc(c.nodes, func(info framework.NodeInfo) bool { return info.Node().Name == name })
	if at < 0 {
		return nil, fmt.Errorf("there is no node %s", name)
	}
	return c.nodes[at], nil
}

func onChanging(t *testing.T, guest *wasmtest.Module, args Args, recheckOneIn uint64, nodes ...framework.NodeInfo) (*slot, *changing) {
	t.Helper()
	handle := &changing{cluster(t, nil), nodes}
	args.AllowUnmetered, args.GuestURL = true, guest.Write(t)
	s, err := testHost(clock.RealClock{}, recheckOneIn).newSlot(context.Background(), t.Name(), args, handle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, handle
}

var withoutRequests = Args{WithoutRequests: true}

// cycleOver runs PreFilter and, as kube-scheduler does, Filter for each node unless PreFilter answered Skip.
func (s *slot) cycleOver(pod *v1.Pod, nodes []framework.NodeInfo) (skipped bool, rejected []string) {
	state := upstream.NewCycleState()
	if _, status := s.PreFilter(context.Background(), state, pod, nodes); status.IsSkip() {
		return true, nil
	}
	for _, node := range nodes {
		if !s.Filter(context.Background(), state, pod, node).IsSuccess() {
			rejected = append(rejected, node.Node().Name)
		}
	}
	return false, rejected
}

func TestAPodThatPassesOnEveryNodeIsNotAskedAboutNodeByNodeAgain(t *testing.T) {
	s, handle := onChanging(t, rejectsKept(t), withoutRequests, 0, ofKind(1, spare), ofKind(2, spare))
	pod := func(name string) *v1.Pod { return podOn(name, "", "cpu", "1") }
	for _, name := range []string{"first", "second"} {
		if skipped, _ := s.cycleOver(pod(name), handle.nodes); !skipped {
			t.Errorf("both nodes let the %s pass, and were asked about by kube-scheduler", name)
		}
	}
	if hits := hitsOf(t, s); hits != 2 {
		t.Errorf("%d remembered answers are counted, want one for each node", hits)
	}

	addPod(handle.nodes[0], podOn("placed", "node-0001", "cpu", "1"))
	if skipped, _ := s.cycleOver(pod("third"), handle.nodes); !skipped {
		t.Error("of a pod that was placed the guest is told nothing, and it was asked again")
	}
	handle.nodes = append(handle.nodes, ofKind(3, kept))
	for range 2 {
		if skipped, rejected := s.cycleOver(pod("fourth"), handle.nodes); skipped || !slices.Equal(rejected, []string{"node-0003"}) {
			t.Errorf("with a new node that is kept: skipped is %v, rejected are %v", skipped, rejected)
		}
	}
	handle.nodes = handle.nodes[:2]
	if skipped, _ := s.cycleOver(pod("fifth"), handle.nodes); !skipped {
		t.Error("without that node all are known again")
	}
}

func TestManyNodesAreAskedAboutInParallelAtFirst(t *testing.T) {
	var nodes []framework.NodeInfo
	for number := range fewUnknown + 1 {
		nodes = append(nodes, ofKind(number, spare))
	}
	s, handle := onChanging(t, rejectsKept(t), withoutRequests, 0, nodes...)
	if skipped, _ := s.cycleOver(podOn("first", ""), handle.nodes); skipped || hitsOf(t, s) != 0 {
		t.Errorf("skipped is %v, and %d answers were remembered", skipped, hitsOf(t, s))
	}
	if skipped, _ := s.cycleOver(podOn("second", ""), handle.nodes); !skipped || hitsOf(t, s) != fewUnknown+1 {
		t.Errorf("skipped is %v, and %d answers were remembered", skipped, hitsOf(t, s))
	}
}

func TestAModuleThatIsToldOfRequestsIsAlwaysAsked(t *testing.T) {
	s, handle := onChanging(t, rejectsKept(t), Args{}, 0, ofKind(1, spare))
	for range 3 {
		if skipped, _ := s.cycleOver(podOn("p", "", "cpu", "1"), handle.nodes); skipped {
			t.Fatal("a nominated pod could make it answer something else, and it was not asked")
		}
	}
}

func TestWhatIsToldWithoutRequestsIsTheSameWhateverIsPlaced(t *testing.T) {
	s, handle := onChanging(t, wasmtest.NodeEcho().Pure(), withoutRequests, 1, ofKind(1, spare))
	before := told(t, filterWith(s, podOn("p", ""), handle.nodes[0]))
	addPod(handle.nodes[0], podOn("placed", "node-0001", "cpu", "1"))
	after := told(t, filterWith(s, podOn("p", ""), handle.nodes[0]))
	for _, view := range []*v1.Node{before, after} {
		if len(view.Annotations) != 0 || view.Labels["kind"] != spare {
			t.Errorf("the guest is told %v", view)
		}
	}
}

// In a cycle without calls the module would have let the pod pass on every node, nominated pods and others that come and
// go included: it is asked, on a slot that remembers nothing.
func TestNoNodeWouldHaveRejectedAPodForWhichNoCallIsMade(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 5))
	for name, recheckOneIn := range map[string]uint64{"trusting": 0, "asking sometimes": 7, "asking always": 1} {
		t.Run(name, func(t *testing.T) {
			with, handle := onChanging(t, rejectsKept(t), withoutRequests, recheckOneIn)
			without, _ := onChanging(t, rejectsKept(t), withoutRequests, 0)
			without.current.Load().memo.TurnOff()
			skips, rejections := 0, 0
			for step := range 1500 {
				change(random, handle, step)
				pod := podOn(fmt.Sprint(step), "", "cpu", fmt.Sprint(1+random.IntN(3)))
				var want []string
				for _, info := range handle.nodes {
					nominated := info.Snapshot()
					addPod(nominated, podOn("nominated", info.Node().Name, "cpu", "1"))
					answer, otherwise := filterWith(without, pod, info), filterWith(without, pod, nominated)
					if answer.Code() != otherwise.Code() {
						t.Fatalf("step %d: of %s the module is told which pods it has", step, info.Node().Name)
					}
					if !answer.IsSuccess() {
						want = append(want, info.Node().Name)
					}
				}
				skipped, rejected := with.cycleOver(pod, handle.nodes)
				if skipped && len(want) > 0 || !slices.Equal(rejected, want) {
					t.Fatalf("step %d: skipped is %v, rejected are %v, want %v", step, skipped, rejected, want)
				}
				if skipped {
					skips++
				}
				rejections += len(want)
			}
			if skips < 100 || rejections < 100 {
				t.Errorf("%d cycles without calls and %d rejections: the test shows nothing", skips, rejections)
			}
		})
	}
}

// change does one thing to a cluster of at most eight nodes, few of which are kept.
func change(random *rand.Rand, cluster *changing, step int) {
	kind := spare
	if random.IntN(8) == 0 {
		kind = kept
	}
	at := 0
	if len(cluster.nodes) > 0 {
		at = random.IntN(len(cluster.nodes))
	}
	switch what := random.IntN(8); {
	case len(cluster.nodes) < 3 || what == 0 && len(cluster.nodes) < 8:
		cluster.nodes = append(slices.Clone(cluster.nodes), ofKind(step, kind))
	case what == 1:
		cluster.nodes = slices.Delete(slices.Clone(cluster.nodes), at, at+1)
	case what == 2:
		changed := cluster.nodes[at].Node().DeepCopy()
		changed.Labels["kind"] = kind
		cluster.nodes[at].SetNode(changed)
	case what == 3: // its kubelet says that it is alive
		cluster.nodes[at].SetNode(cluster.nodes[at].Node().DeepCopy())
	default:
		addPod(cluster.nodes[at], podOn(fmt.Sprint(step), cluster.nodes[at].Node().Name, "cpu", "1"))
	}
}

// Each kind of pod that is asked about later finds nodes that have changed before, and full ones that kube-scheduler asks
// no plugin about.
func TestAKindOfPodThatComesLaterIsNotAskedAboutNodeByNodeEither(t *testing.T) {
	s, handle := onChanging(t, rejectsKept(t), withoutRequests, 0, ofKind(1, spare), ofKind(2, spare), ofKind(3, spare))
	for kind := range 3 {
		for round := range 3 {
			addPod(handle.nodes[0], podOn(fmt.Sprint(kind, round), "node-0001", "cpu", "1"))
			skipped, _ := s.cycleOver(podOn("p", "", "cpu", fmt.Sprint(kind+1)), handle.nodes[:2])
			if !skipped && round > 0 {
				t.Errorf("kind %d, round %d: the nodes were asked about again", kind, round)
			}
		}
	}
}

func TestAModuleThatLooksAtAnotherNodeIsAskedEachTimeEverywhere(t *testing.T) {
	m, host := wasmtest.WithHost()
	// It reads the node whose name is the first letter of the current node's name.
	guest := m.Func("filter", i32,
		wasmtest.Const(0), wasmtest.Const(512), host.CurrentNodeName, wasmtest.Drop,
		wasmtest.Const(0), wasmtest.Const(1), wasmtest.Const(1024), wasmtest.Const(60000), host.Node, wasmtest.Drop,
		wasmtest.Const(0)).Pure()
	a, ab := upstream.NewNodeInfo(), upstream.NewNodeInfo()
	a.SetNode(node("a"))
	ab.SetNode(node("ab"))
	s, handle := onChanging(t, guest, withoutRequests, 0, a, ab)
	for range 3 {
		if skipped, rejected := s.cycleOver(podOn("p", ""), handle.nodes); skipped || rejected != nil {
			t.Errorf("skipped is %v, rejected are %v", skipped, rejected)
		}
	}
}
