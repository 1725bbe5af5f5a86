package slot

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/guestview"
)

// The extension points of the scheduling cycle. Each hands the call to the extension; what the guest may see of the
// cluster is the only thing that differs. A pure guest gets the pod without what tells it from its siblings.

func (s *slot) PreFilter(ctx context.Context, state *framework.CycleState, pod *v1.Pod) (result *framework.PreFilterResult, status *framework.Status) {
	if !s.points.preFilter {
		return nil, nil
	}
	status = s.call(ctx, pointPreFilter, snapshotOnly, func(i *instance) (answer *framework.Status) {
		result, answer = i.plugin.(framework.PreFilterPlugin).PreFilter(ctx, state, s.told(state, pod))
		return answer
	})
	return result, status
}

func (s *slot) PreFilterExtensions() framework.PreFilterExtensions {
	if !s.points.preFilterExtensions {
		return nil
	}
	return s
}

func (s *slot) AddPod(ctx context.Context, state *framework.CycleState, pod *v1.Pod, added *framework.PodInfo, node *framework.NodeInfo) *framework.Status {
	return s.call(ctx, pointAddPod, s.about(node), func(i *instance) *framework.Status {
		return i.plugin.(framework.PreFilterExtensions).AddPod(ctx, state, s.told(state, pod), added, node)
	})
}

func (s *slot) RemovePod(ctx context.Context, state *framework.CycleState, pod *v1.Pod, removed *framework.PodInfo, node *framework.NodeInfo) *framework.Status {
	return s.call(ctx, pointRemovePod, s.about(node), func(i *instance) *framework.Status {
		return i.plugin.(framework.PreFilterExtensions).RemovePod(ctx, state, s.told(state, pod), removed, node)
	})
}

func (s *slot) Filter(ctx context.Context, state *framework.CycleState, pod *v1.Pod, node *framework.NodeInfo) *framework.Status {
	return s.call(ctx, pointFilter, s.about(node), func(i *instance) *framework.Status {
		return i.plugin.(framework.FilterPlugin).Filter(ctx, state, s.told(state, pod), node)
	})
}

func (s *slot) PostFilter(ctx context.Context, state *framework.CycleState, pod *v1.Pod, rejected framework.NodeToStatusReader) (result *framework.PostFilterResult, status *framework.Status) {
	status = s.call(ctx, pointPostFilter, snapshotOnly, func(i *instance) (answer *framework.Status) {
		result, answer = i.plugin.(framework.PostFilterPlugin).PostFilter(ctx, state, s.told(state, pod), rejected)
		return answer
	})
	return result, status
}

func (s *slot) PreScore(ctx context.Context, state *framework.CycleState, pod *v1.Pod, nodes []*framework.NodeInfo) *framework.Status {
	return s.call(ctx, pointPreScore, snapshotOnly, func(i *instance) *framework.Status {
		return i.plugin.(framework.PreScorePlugin).PreScore(ctx, state, s.told(state, pod), nodes)
	})
}

func (s *slot) Score(ctx context.Context, state *framework.CycleState, pod *v1.Pod, name string) (score int64, status *framework.Status) {
	node, err := s.handle.SnapshotSharedLister().NodeInfos().Get(name)
	if err != nil {
		return 0, framework.AsStatus(err)
	}
	status = s.call(ctx, pointScore, s.about(node), func(i *instance) (answer *framework.Status) {
		score, answer = i.plugin.(framework.ScorePlugin).Score(ctx, state, s.told(state, pod), name)
		return answer
	})
	return score, status
}

func (s *slot) ScoreExtensions() framework.ScoreExtensions {
	if !s.points.normalizeScore {
		return nil
	}
	return s
}

func (s *slot) NormalizeScore(ctx context.Context, state *framework.CycleState, pod *v1.Pod, scores framework.NodeScoreList) *framework.Status {
	return s.call(ctx, pointNormalizeScore, snapshotOnly, func(i *instance) *framework.Status {
		return i.plugin.(framework.ScoreExtensions).NormalizeScore(ctx, state, s.told(state, pod), scores)
	})
}

// about is the sight of a call that is about one node.
func (s *slot) about(node *framework.NodeInfo) sight {
	return sight{inCycle: true, current: s.views.Of(node)}
}

// told is the pod as the guest gets it: built once in a cycle, for it is the same for every node.
func (s *slot) told(state *framework.CycleState, pod *v1.Pod) *v1.Pod {
	if !s.module.Pure {
		return pod
	}
	if kept, err := state.Read(toldKey); err == nil && kept.(toldPod).of == pod {
		return kept.(toldPod).told
	}
	// Parallel calls may both get here. They build the same, and either may be kept.
	built := toldPod{of: pod, told: guestview.Pod(pod)}
	state.Write(toldKey, built)
	return built.told
}

// toldKey is one for all slots: what a pure guest is told of a pod does not depend on the guest.
const toldKey framework.StateKey = "weir.dev/told-pod"

// toldPod remembers which pod it was built of: preemption's dry runs use a state with other pods.
type toldPod struct{ of, told *v1.Pod }

func (p toldPod) Clone() framework.StateData { return p }
