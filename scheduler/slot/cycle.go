package slot

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/guestview"
)

// cycle is what a slot looks up once for the scheduling of a pod and not for each node.
type cycle struct {
	state *framework.CycleState
	pod   *v1.Pod

	// version answers all calls of the cycle, from the first to the end of the binding.
	version *version

	// told is the pod as the guest gets it.
	told *v1.Pod

	// row is what was answered about such pods before; nil when answers are not remembered.
	row *row

	// sampled is not nil in a cycle of which the shadow gets to see something.
	sampled *sampled

	// filter and score are where answers are counted.
	filter, score *pointMetrics
}

// Clone is for preemption, which tries things out on copies of the state. A cycle never changes.
func (c *cycle) Clone() framework.StateData { return c }

// cycle finds what was looked up for this pod in this cycle. The first call looks it up, whichever that is: PreFilter
// is not called when another plugin has left no node, and Filter is called from several goroutines at once.
func (s *slot) cycle(state *framework.CycleState, pod *v1.Pod) *cycle {
	if last := s.last.Load(); last != nil && last.state == state && last.pod == pod {
		return last
	}
	if kept, err := state.Read(s.key); err == nil && kept.(*cycle).pod == pod {
		return kept.(*cycle)
	}
	return s.begin(state, pod)
}

func (s *slot) begin(state *framework.CycleState, pod *v1.Pod) *cycle {
	s.starting.Lock()
	defer s.starting.Unlock()
	began := &cycle{state: state, pod: pod, told: pod}
	if kept, err := state.Read(s.key); err != nil {
		began.version = s.current.Load()
		s.retireOutgoing()
	} else if kept := kept.(*cycle); kept.pod == pod {
		return kept
	} else {
		began.version = kept.version
	}
	if shadow := s.shadow.Load(); shadow != nil {
		began.sampled = shadow.sample(pod, s.host.tell)
	}
	if memo := began.version.memo; memo != nil {
		told := s.host.tell(pod)
		began.told = told.told
		if told.bytes != "" && !memo.off.Load() {
			began.row = memo.row(told.bytes, began.version.views.Len())
		}
	}
	began.filter, began.score = began.version.metrics[pointFilter], began.version.metrics[pointScore]
	state.Write(s.key, began)
	s.last.Store(began)
	return began
}

// forgetGoneNodes keeps the views in proportion to the cluster where nodes come and go.
func (s *slot) forgetGoneNodes(views *guestview.Cache) {
	all := s.handle.SnapshotSharedLister().NodeInfos()
	nodes, err := all.List()
	if err != nil || views.Len() < 2*len(nodes)+100 {
		return
	}
	views.Forget(func(name string) bool {
		_, err := all.Get(name)
		return err == nil
	})
}

// toldPod is a pod and what a pure guest is told of it.
type toldPod struct {
	of, told *v1.Pod

	// bytes are what the guest reads; empty if the pod cannot be written down, and then nothing is remembered of it.
	bytes string
}

// tell builds what pure guests are told of a pod, once for all slots. A Pod that the scheduler has is never changed:
// the same pointer is the same content.
func (h *Host) tell(pod *v1.Pod) *toldPod {
	last := h.told.Load()
	if last != nil && last.of == pod {
		return last
	}
	built := &toldPod{of: pod, told: guestview.Pod(pod)}
	if bytes, err := built.told.Marshal(); err != nil {
		klog.Background().Error(err, "A pod cannot be written down", "pod", klog.KObj(pod))
	} else if last != nil && last.bytes == string(bytes) {
		built.bytes, built.told = last.bytes, last.told // its sibling: instances that know the one know the other
	} else {
		built.bytes = string(bytes)
		built.told = guestview.PackedPod(built.bytes)
	}
	h.told.Store(built)
	return built
}
