package pluginhost

import (
	"sync"
	"sync/atomic"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/nodeview"
	"weir.dev/scheduler/pluginhost/memo"
)

// cycle is what a slot looks up once for the scheduling of a pod and not for each node.
type cycle struct {
	state framework.CycleState
	pod   *v1.Pod

	// version answers all calls of the cycle, from the first to the end of the binding.
	version *version

	// view is the pod as the guest is told of it, and nodes the nodes.
	view  *podView
	nodes nodeview.Reader

	// row is what was answered about such pods before; nil when answers are not remembered.
	row *memo.Row

	// sampled is not nil in a cycle of which the shadow gets to see something.
	sampled *sampled

	// filter and score are where answers are counted.
	filter, score *pointMetrics

	// fault is why the module is not asked about this pod any more. The first call of a cycle is made alone: where it is a
	// fault, the calls that kube-scheduler makes in parallel are answered by it.
	fault atomic.Pointer[error]
	first sync.Mutex
	asked atomic.Bool
}

// Clone is for preemption, which tries things out on copies of the state. What a cycle looked up never changes.
func (c *cycle) Clone() framework.StateData { return c }

// cycle finds what was looked up for this pod in this cycle. The first call looks it up, whichever that is: PreFilter
// is not called when another plugin has left no node, and Filter is called from several goroutines at once.
func (s *slot) cycle(state framework.CycleState, pod *v1.Pod) *cycle {
	if last := s.cycles.last.Load(); last != nil && last.state == state && last.pod == pod {
		return last
	}
	if kept, err := state.Read(s.cycles.key); err == nil && kept.(*cycle).pod == pod {
		return kept.(*cycle)
	}
	return s.begin(state, pod)
}

func (s *slot) begin(state framework.CycleState, pod *v1.Pod) *cycle {
	s.cycles.starting.Lock()
	defer s.cycles.starting.Unlock()
	began := &cycle{state: state, pod: pod}
	if kept, err := state.Read(s.cycles.key); err != nil {
		began.version = s.versionFor(state)
		s.retireOutgoing()
	} else if kept := kept.(*cycle); kept.pod == pod {
		return kept
	} else {
		began.version = kept.version
	}
	began.lookUp(s, state)
	state.Write(s.cycles.key, began)
	s.cycles.last.Store(began)
	return began
}

func (c *cycle) lookUp(s *slot, state framework.CycleState) {
	v := c.version
	if shadow := s.trial.shadow.Load(); shadow != nil {
		c.sampled = shadow.sample(c.pod, s.host.purePod)
	}
	c.nodes = v.views.ByGeneration()
	if state.IsPodGroupSchedulingCycle() {
		c.nodes = v.views.ByContent()
	}
	if v.memo == nil {
		c.view = wholePod(c.pod)
	} else {
		c.view = s.host.purePod(c.pod)
		if c.view.message != "" && !v.memo.Off() {
			c.row = v.memo.Row(c.view.message, v.views.Len())
		}
	}
	if err := v.faults.of(func() string { return v.kindOf(c.view) }); err != nil {
		c.fault.Store(&err)
	}
	c.filter, c.score = v.metrics[guest.Filter], v.metrics[guest.Score]
}

// kindOf is the same for pods of one template, whether or not the module is told which of them it is asked about.
func (v *version) kindOf(pod *podView) string {
	switch {
	case pod.of == nil:
		return ""
	case v.module.Pure:
		return pod.kind()
	default:
		return contentOf(written(nodeview.Pod(pod.of), pod.of)).kind()
	}
}

// versionFor is the version for a cycle that begins. The cycles of a pod group are one decision, so all its pods, and all
// placements that are tried for them, are answered by one version. Its caller holds starting.
func (s *slot) versionFor(state framework.CycleState) *version {
	if !state.IsPodGroupSchedulingCycle() {
		return s.current.Load()
	}
	group := rootOf(state.GetPodGroupSchedulingCycle())
	if group == nil {
		return s.current.Load()
	}
	if kept, err := group.Read(s.cycles.key); err == nil {
		return kept.(pinned).version
	}
	current := s.current.Load()
	group.Write(s.cycles.key, pinned{current})
	return current
}

// pinned is the version of a pod group.
type pinned struct{ version *version }

// Clone implements framework.StateData.
func (p pinned) Clone() framework.StateData { return p }

// ask makes a call of the cycle, unless the module has failed on this pod.
func (c *cycle) ask(at guest.Point, scope callScope, fill func(*guest.Call)) (guest.Answer, *framework.Status, bool) {
	if c.asked.Load() {
		return c.askNow(at, scope, fill)
	}
	c.first.Lock()
	defer c.first.Unlock()
	defer c.asked.Store(true)
	return c.askNow(at, scope, fill)
}

func (c *cycle) askNow(at guest.Point, scope callScope, fill func(*guest.Call)) (guest.Answer, *framework.Status, bool) {
	if fault := c.fault.Load(); fault != nil {
		return guest.Answer{}, framework.AsStatus(*fault), false
	}
	answer, status, readOtherNode := c.version.call(at, scope, c.view, fill)
	if status.Code() == framework.Error {
		if err := c.version.faults.of(func() string { return c.version.kindOf(c.view) }); err != nil {
			c.fault.Store(&err)
		}
	}
	return answer, status, readOtherNode
}

// inCycle is what a call in the scheduling cycle may see.
func (s *slot) inCycle(c *cycle) callScope {
	return callScope{snapshot: s.handle.SnapshotSharedLister().NodeInfos(), views: c.nodes}
}

// outsideCycle is what a call beside scheduling cycles may see.
func (v *version) outsideCycle() callScope { return callScope{views: v.views.ByGeneration()} }

// forgetGoneNodes keeps the views in proportion to the cluster where nodes come and go.
func forgetGoneNodes(views *nodeview.Cache, nodes []framework.NodeInfo) {
	if views.Len() < 2*len(nodes)+100 {
		return
	}
	there := make(map[string]bool, len(nodes))
	for _, node := range nodes {
		there[node.Node().Name] = true
	}
	views.Forget(func(name string) bool { return there[name] })
}
