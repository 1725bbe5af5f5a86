package pluginhost

import (
	"context"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/module"
)

// The extension points of the scheduling cycle. Each asks the module, or answers what the module answered before; what the
// guest may see of the cluster is all that differs.

// PreFilter implements framework.PreFilterPlugin.
func (s *slot) PreFilter(_ context.Context, state framework.CycleState, pod *v1.Pod, nodes []framework.NodeInfo) (*framework.PreFilterResult, *framework.Status) {
	c := s.cycle(state, pod)
	forgetGoneNodes(c.version.views, nodes)
	if s.shadowOnly {
		c.saw(guest.PreFilter, nil, nil)
		return nil, nil
	}
	var result *framework.PreFilterResult
	var status *framework.Status
	if c.version.points.preFilter {
		result, status = s.preFilter(c)
		c.saw(guest.PreFilter, status, nil)
	}
	if status.IsSuccess() && result.AllNodes() && s.passesAllNodes(c, nodes) {
		return nil, framework.NewStatus(framework.Skip)
	}
	return result, status
}

func (s *slot) preFilter(c *cycle) (result *framework.PreFilterResult, _ *framework.Status) {
	if c.row != nil {
		if known := s.rememberedOnce(c, guest.PreFilter, &c.row.PreFilter); known != nil {
			return nil, known.Status()
		}
	}
	answer, status, readOtherNode := c.ask(guest.PreFilter, s.inCycle(c), nil)
	if answer.NodeNames != nil {
		result = &framework.PreFilterResult{NodeNames: sets.New(answer.NodeNames...)}
	}
	if c.row != nil && result == nil && !readOtherNode {
		s.rememberOnce(c, guest.PreFilter, &c.row.PreFilter, status)
	}
	return result, status
}

// PreFilterExtensions implements framework.PreFilterPlugin.
func (s *slot) PreFilterExtensions() framework.PreFilterExtensions {
	if !s.current.Load().points.preFilterExtensions || s.shadowOnly {
		return nil
	}
	return s
}

// AddPod implements framework.PreFilterExtensions.
func (s *slot) AddPod(_ context.Context, state framework.CycleState, pod *v1.Pod, added framework.PodInfo, node framework.NodeInfo) *framework.Status {
	return s.withAnotherPod(guest.AddPod, state, pod, added, node)
}

// RemovePod implements framework.PreFilterExtensions.
func (s *slot) RemovePod(_ context.Context, state framework.CycleState, pod *v1.Pod, removed framework.PodInfo, node framework.NodeInfo) *framework.Status {
	return s.withAnotherPod(guest.RemovePod, state, pod, removed, node)
}

func (s *slot) withAnotherPod(at guest.Point, state framework.CycleState, pod *v1.Pod, other framework.PodInfo, node framework.NodeInfo) *framework.Status {
	c := s.cycle(state, pod)
	if !c.version.module.Exports[at.Export()] {
		return nil
	}
	_, status, _ := c.ask(at, s.inCycle(c).about(c.nodes.Of(node)), func(call *guest.Call) {
		call.Target = written(other.GetPod(), other.GetPod())
	})
	return status
}

// Filter implements framework.FilterPlugin.
func (s *slot) Filter(_ context.Context, state framework.CycleState, pod *v1.Pod, node framework.NodeInfo) *framework.Status {
	c := s.cycle(state, pod)
	if s.shadowOnly {
		c.sawNode(guest.Filter, node, 0, nil)
		return nil
	}
	status := s.filter(c, node)
	if c.sampled != nil {
		c.sawNode(guest.Filter, node, 0, status)
	}
	return status
}

func (s *slot) filter(c *cycle, node framework.NodeInfo) *framework.Status {
	if c.row != nil {
		if known := s.remembered(c, c.filter, c.row.Filter(), node); known != nil {
			return known.Status()
		}
	}
	return s.filterAnew(c, node)
}

// filterAnew asks the module, and remembers what it answers.
func (s *slot) filterAnew(c *cycle, node framework.NodeInfo) *framework.Status {
	view := c.nodes.Of(node)
	_, status, readOtherNode := c.ask(guest.Filter, s.inCycle(c).about(view), nil)
	if c.row != nil && !readOtherNode {
		s.remember(c, guest.Filter, c.row.Filter(), node, view, 0, status)
	}
	return status
}

// PostFilter implements framework.PostFilterPlugin.
func (s *slot) PostFilter(_ context.Context, state framework.CycleState, pod *v1.Pod, rejected framework.NodeToStatusReader) (*framework.PostFilterResult, *framework.Status) {
	c := s.cycle(state, pod)
	answer, status, _ := c.ask(guest.PostFilter, s.inCycle(c), func(call *guest.Call) {
		call.Codes = func() map[string]int32 { return s.codes(rejected) }
	})
	const override = 1
	if status.Code() == framework.Error || answer.High() != override {
		return nil, status
	}
	return &framework.PostFilterResult{NominatingInfo: &framework.NominatingInfo{
		NominatedNodeName: answer.Nominated, NominatingMode: framework.ModeOverride,
	}}, status
}

// codes are the status codes by node.
func (s *slot) codes(rejected framework.NodeToStatusReader) map[string]int32 {
	codes := map[string]int32{}
	nodes, err := s.handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		return codes
	}
	for _, node := range nodes {
		codes[node.Node().Name] = int32(rejected.Get(node.Node().Name).Code())
	}
	return codes
}

// PreScore implements framework.PreScorePlugin.
func (s *slot) PreScore(_ context.Context, state framework.CycleState, pod *v1.Pod, nodes []framework.NodeInfo) *framework.Status {
	c := s.cycle(state, pod)
	if s.shadowOnly {
		c.saw(guest.PreScore, nil, nodes)
		return nil
	}
	status := s.preScore(c, nodes)
	c.saw(guest.PreScore, status, nodes)
	return status
}

func (s *slot) preScore(c *cycle, nodes []framework.NodeInfo) *framework.Status {
	if c.row != nil {
		if known := s.rememberedOnce(c, guest.PreScore, &c.row.PreScore); known != nil {
			return known.Status()
		}
	}
	_, status, readOtherNode := c.ask(guest.PreScore, s.inCycle(c), filteredNodes(nodes))
	if c.row != nil && !readOtherNode && !slices.Contains(c.version.module.Imports, module.FilteredNodes) {
		s.rememberOnce(c, guest.PreScore, &c.row.PreScore, status)
	}
	return status
}

func filteredNodes(nodes []framework.NodeInfo) func(*guest.Call) {
	return func(call *guest.Call) {
		call.Filtered = func() []string {
			names := make([]string, 0, len(nodes))
			for _, node := range nodes {
				names = append(names, node.Node().Name)
			}
			return names
		}
	}
}

// Score implements framework.ScorePlugin.
func (s *slot) Score(_ context.Context, state framework.CycleState, pod *v1.Pod, node framework.NodeInfo) (int64, *framework.Status) {
	c := s.cycle(state, pod)
	if s.shadowOnly {
		c.sawNode(guest.Score, node, 0, nil)
		return 0, nil
	}
	score, status := s.score(c, node)
	if c.sampled != nil {
		c.sawNode(guest.Score, node, score, status)
	}
	return score, status
}

func (s *slot) score(c *cycle, node framework.NodeInfo) (int64, *framework.Status) {
	if c.row != nil {
		if known := s.remembered(c, c.score, c.row.Score(), node); known != nil {
			return known.Score, known.Status()
		}
	}
	view := c.nodes.Of(node)
	answer, status, readOtherNode := c.ask(guest.Score, s.inCycle(c).about(view), nil)
	var score int64
	if status.IsSuccess() {
		score = int64(answer.High())
	}
	if c.row != nil && !readOtherNode {
		s.remember(c, guest.Score, c.row.Score(), node, view, score, status)
	}
	return score, status
}

// ScoreExtensions implements framework.ScorePlugin.
func (s *slot) ScoreExtensions() framework.ScoreExtensions {
	if !s.current.Load().points.normalizeScore || s.shadowOnly {
		return nil
	}
	return s
}

// NormalizeScore implements framework.ScoreExtensions. The scores come back by the names of their nodes; a node that the
// module leaves out keeps its score.
func (s *slot) NormalizeScore(_ context.Context, state framework.CycleState, pod *v1.Pod, scores framework.NodeScoreList) *framework.Status {
	c := s.cycle(state, pod)
	answer, status, _ := c.ask(guest.NormalizeScore, s.inCycle(c), func(call *guest.Call) {
		call.Scores = func() map[string]int64 {
			byName := make(map[string]int64, len(scores))
			for _, each := range scores {
				byName[each.Name] = each.Score
			}
			return byName
		}
	})
	if !status.IsSuccess() {
		return status
	}
	for i := range scores {
		if score, ok := answer.Scores[scores[i].Name]; ok {
			scores[i].Score = min(max(score, framework.MinScore), framework.MaxScore)
		}
	}
	return nil
}

// SignPod implements framework.SignPlugin: pods with the same signature are placed alike, so kube-scheduler may place one
// where it has just placed another. That holds for a pure filter, of pods of which it is told the same. It does not hold
// for a score: kube-scheduler then takes the scores of the pod before for most nodes, and ours follow what is placed and
// measured there.
func (s *slot) SignPod(_ context.Context, pod *v1.Pod) ([]framework.SignFragment, *framework.Status) {
	if s.shadowOnly {
		return nil, nil
	}
	v := s.current.Load()
	if v.memo == nil || v.memo.Off() {
		return nil, framework.NewStatus(framework.Unschedulable, "cannot be signed: the module of plugin "+s.name+" is not pure")
	}
	if v.points.score {
		return nil, framework.NewStatus(framework.Unschedulable, "cannot be signed: the scores of plugin "+s.name+" follow what is placed")
	}
	view := s.host.purePod(pod)
	if view.message == "" {
		return nil, framework.NewStatus(framework.Unschedulable, "cannot be signed: the pod cannot be written down")
	}
	return []framework.SignFragment{{Key: "weir.dev/" + s.name, Value: v.name + " " + view.kind()}}, nil
}
