package slot

import (
	"context"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/guestview"
	"weir.dev/scheduler/module"
)

// The extension points of the scheduling cycle. Each hands the call to the extension, or answers what the module
// answered before; what the guest may see of the cluster is all that differs.

func (s *slot) PreFilter(ctx context.Context, state *framework.CycleState, pod *v1.Pod) (*framework.PreFilterResult, *framework.Status) {
	c := s.cycle(state, pod)
	s.forgetGoneNodes(c.version.views)
	if s.muted {
		c.saw(pointPreFilter, nil, nil)
		return nil, nil
	}
	var result *framework.PreFilterResult
	var status *framework.Status
	if c.version.points.preFilter {
		result, status = s.preFilter(ctx, c, state)
		c.saw(pointPreFilter, status, nil)
	}
	if status.IsSuccess() && result.AllNodes() && s.passesEverywhere(ctx, c, state) {
		return nil, framework.NewStatus(framework.Skip)
	}
	return result, status
}

func (s *slot) preFilter(ctx context.Context, c *cycle, state *framework.CycleState) (result *framework.PreFilterResult, _ *framework.Status) {
	if known := s.rememberedOnce(c, pointPreFilter, preFilterOf); known != nil {
		return nil, known.status()
	}
	status, strayed := c.version.call(ctx, pointPreFilter, snapshotOnly, func(i *instance) (answer *framework.Status) {
		result, answer = i.plugin.(framework.PreFilterPlugin).PreFilter(ctx, state, c.told)
		return answer
	})
	if result == nil && !strayed {
		s.rememberOnce(c, pointPreFilter, preFilterOf, status)
	}
	return result, status
}

func (s *slot) PreFilterExtensions() framework.PreFilterExtensions {
	if !s.current.Load().points.preFilterExtensions || s.muted {
		return nil
	}
	return s
}

func (s *slot) AddPod(ctx context.Context, state *framework.CycleState, pod *v1.Pod, added *framework.PodInfo, node *framework.NodeInfo) *framework.Status {
	c := s.cycle(state, pod)
	status, _ := c.version.call(ctx, pointAddPod, about(c.version.views.Of(node)), func(i *instance) *framework.Status {
		return i.plugin.(framework.PreFilterExtensions).AddPod(ctx, state, c.told, added, node)
	})
	return status
}

func (s *slot) RemovePod(ctx context.Context, state *framework.CycleState, pod *v1.Pod, removed *framework.PodInfo, node *framework.NodeInfo) *framework.Status {
	c := s.cycle(state, pod)
	status, _ := c.version.call(ctx, pointRemovePod, about(c.version.views.Of(node)), func(i *instance) *framework.Status {
		return i.plugin.(framework.PreFilterExtensions).RemovePod(ctx, state, c.told, removed, node)
	})
	return status
}

func (s *slot) Filter(ctx context.Context, state *framework.CycleState, pod *v1.Pod, node *framework.NodeInfo) *framework.Status {
	c := s.cycle(state, pod)
	if s.muted {
		c.sawNode(pointFilter, node, 0, nil)
		return nil
	}
	status := s.filter(ctx, c, state, node)
	if c.sampled != nil {
		c.sawNode(pointFilter, node, 0, status)
	}
	return status
}

func (s *slot) filter(ctx context.Context, c *cycle, state *framework.CycleState, node *framework.NodeInfo) *framework.Status {
	if c.row != nil {
		if known := s.remembered(c, c.filter, &c.row.filter, node); known != nil {
			return known.status()
		}
	}
	return s.filterAnew(ctx, c, state, node)
}

// filterAnew asks the module, and remembers what it answers.
func (s *slot) filterAnew(ctx context.Context, c *cycle, state *framework.CycleState, node *framework.NodeInfo) *framework.Status {
	told := c.version.views.Of(node)
	status, strayed := c.version.call(ctx, pointFilter, about(told), func(i *instance) *framework.Status {
		return i.filter(ctx, state, c.told, node, told)
	})
	if c.row != nil && !strayed {
		s.remember(c, pointFilter, &c.row.filter, node, told, 0, status)
	}
	return status
}

func (s *slot) PostFilter(ctx context.Context, state *framework.CycleState, pod *v1.Pod, rejected framework.NodeToStatusReader) (result *framework.PostFilterResult, status *framework.Status) {
	c := s.cycle(state, pod)
	status, _ = c.version.call(ctx, pointPostFilter, snapshotOnly, func(i *instance) (answer *framework.Status) {
		result, answer = i.plugin.(framework.PostFilterPlugin).PostFilter(ctx, state, c.told, rejected)
		return answer
	})
	return result, status
}

func (s *slot) PreScore(ctx context.Context, state *framework.CycleState, pod *v1.Pod, nodes []*framework.NodeInfo) *framework.Status {
	c := s.cycle(state, pod)
	if s.muted {
		c.saw(pointPreScore, nil, nodes)
		return nil
	}
	status := s.preScore(ctx, c, state, nodes)
	c.saw(pointPreScore, status, nodes)
	return status
}

func (s *slot) preScore(ctx context.Context, c *cycle, state *framework.CycleState, nodes []*framework.NodeInfo) *framework.Status {
	if known := s.rememberedOnce(c, pointPreScore, preScoreOf); known != nil {
		return known.status()
	}
	status, strayed := c.version.call(ctx, pointPreScore, snapshotOnly, func(i *instance) *framework.Status {
		return i.plugin.(framework.PreScorePlugin).PreScore(ctx, state, c.told, nodes)
	})
	if !strayed && !slices.Contains(c.version.module.Imports, module.FilteredNodes) {
		s.rememberOnce(c, pointPreScore, preScoreOf, status)
	}
	return status
}

func (s *slot) Score(ctx context.Context, state *framework.CycleState, pod *v1.Pod, name string) (int64, *framework.Status) {
	c := s.cycle(state, pod)
	node, err := s.handle.SnapshotSharedLister().NodeInfos().Get(name)
	if err != nil {
		return 0, framework.AsStatus(err)
	}
	if s.muted {
		c.sawNode(pointScore, node, 0, nil)
		return 0, nil
	}
	score, status := s.score(ctx, c, state, node)
	if c.sampled != nil {
		c.sawNode(pointScore, node, score, status)
	}
	return score, status
}

func (s *slot) score(ctx context.Context, c *cycle, state *framework.CycleState, node *framework.NodeInfo) (score int64, status *framework.Status) {
	if c.row != nil {
		if known := s.remembered(c, c.score, &c.row.score, node); known != nil {
			return known.score, known.status()
		}
	}
	told := c.version.views.Of(node)
	status, strayed := c.version.call(ctx, pointScore, about(told), func(i *instance) (answer *framework.Status) {
		score, answer = i.score(ctx, state, c.told, told)
		return answer
	})
	if c.row != nil && !strayed {
		s.remember(c, pointScore, &c.row.score, node, told, score, status)
	}
	return score, status
}

func (s *slot) ScoreExtensions() framework.ScoreExtensions {
	if !s.current.Load().points.normalizeScore || s.muted {
		return nil
	}
	return s
}

func (s *slot) NormalizeScore(ctx context.Context, state *framework.CycleState, pod *v1.Pod, scores framework.NodeScoreList) *framework.Status {
	c := s.cycle(state, pod)
	status, _ := c.version.call(ctx, pointNormalizeScore, snapshotOnly, func(i *instance) *framework.Status {
		return i.plugin.(framework.ScoreExtensions).NormalizeScore(ctx, state, c.told, scores)
	})
	return status
}

// about is the sight of a call that is about one node.
func about(view *guestview.View) sight {
	return sight{inCycle: true, current: view}
}
