package pluginhost

import (
	"context"
	"io"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"
)

// kube-scheduler finds out by type assertion at which points to call a plugin, so a slot must not have the methods of
// points that its module lacks: PostFilter answered by a module without it would end the chain of PostFilter plugins,
// and every other would cost a call for each node and nothing else. Go cannot take methods from a value at run time,
// hence one struct for each combination. The framework's own interfaces do not combine in a struct: each has Name.
//
// PreFilter is always there. It is the first call of a cycle, where the slot prepares what is the same for all nodes. So is
// SignPod: one plugin without it costs a profile the batches of pods that are alike.
type (
	always interface {
		framework.PreFilterPlugin
		framework.SignPlugin
		framework.EnqueueExtensions
		io.Closer
	}
	filter interface {
		Filter(context.Context, framework.CycleState, *v1.Pod, framework.NodeInfo) *framework.Status
	}
	postFilter interface {
		filter
		PostFilter(context.Context, framework.CycleState, *v1.Pod, framework.NodeToStatusReader) (*framework.PostFilterResult, *framework.Status)
	}
	score interface {
		Score(context.Context, framework.CycleState, *v1.Pod, framework.NodeInfo) (int64, *framework.Status)
		ScoreExtensions() framework.ScoreExtensions
	}
	preScore interface {
		score
		PreScore(context.Context, framework.CycleState, *v1.Pod, []framework.NodeInfo) *framework.Status
	}
	lifecycle interface {
		Reserve(context.Context, framework.CycleState, *v1.Pod, string) *framework.Status
		Unreserve(context.Context, framework.CycleState, *v1.Pod, string)
		Permit(context.Context, framework.CycleState, *v1.Pod, string) (*framework.Status, time.Duration)
		PreBindPreFlight(context.Context, framework.CycleState, *v1.Pod, string) (*framework.PreBindPreFlightResult, *framework.Status)
		PreBind(context.Context, framework.CycleState, *v1.Pod, string) *framework.Status
		Bind(context.Context, framework.CycleState, *v1.Pod, string) *framework.Status
		PostBind(context.Context, framework.CycleState, *v1.Pod, string)
	}
)

// mask is a combination that pointsOf lets pass: postfilter comes with filter only, prescore with score only.
type mask struct{ filter, postFilter, score, preScore, lifecycle bool }

// masked gives the slot the methods of its module's points and no others.
func masked(s *slot) framework.Plugin {
	has := s.current.Load().points
	if s.shadowOnly {
		has.postFilter, has.lifecycle = false, false // whatever it answers would end the chain of PostFilter plugins
	}
	switch (mask{has.filter, has.postFilter, has.score, has.preScore, has.lifecycle}) {
	case mask{filter: true}:
		return struct {
			always
			filter
		}{s, s}
	case mask{filter: true, postFilter: true}:
		return struct {
			always
			postFilter
		}{s, s}
	case mask{score: true}:
		return struct {
			always
			score
		}{s, s}
	case mask{score: true, preScore: true}:
		return struct {
			always
			preScore
		}{s, s}
	case mask{filter: true, score: true}:
		return struct {
			always
			filter
			score
		}{s, s, s}
	case mask{filter: true, score: true, preScore: true}:
		return struct {
			always
			filter
			preScore
		}{s, s, s}
	case mask{filter: true, postFilter: true, score: true}:
		return struct {
			always
			postFilter
			score
		}{s, s, s}
	case mask{filter: true, postFilter: true, score: true, preScore: true}:
		return struct {
			always
			postFilter
			preScore
		}{s, s, s}
	case mask{lifecycle: true}:
		return struct {
			always
			lifecycle
		}{s, s}
	case mask{filter: true, lifecycle: true}:
		return struct {
			always
			filter
			lifecycle
		}{s, s, s}
	case mask{filter: true, postFilter: true, lifecycle: true}:
		return struct {
			always
			postFilter
			lifecycle
		}{s, s, s}
	case mask{score: true, lifecycle: true}:
		return struct {
			always
			score
			lifecycle
		}{s, s, s}
	case mask{score: true, preScore: true, lifecycle: true}:
		return struct {
			always
			preScore
			lifecycle
		}{s, s, s}
	case mask{filter: true, score: true, lifecycle: true}:
		return struct {
			always
			filter
			score
			lifecycle
		}{s, s, s, s}
	case mask{filter: true, score: true, preScore: true, lifecycle: true}:
		return struct {
			always
			filter
			preScore
			lifecycle
		}{s, s, s, s}
	case mask{filter: true, postFilter: true, score: true, lifecycle: true}:
		return struct {
			always
			postFilter
			score
			lifecycle
		}{s, s, s, s}
	case mask{filter: true, postFilter: true, score: true, preScore: true, lifecycle: true}:
		return struct {
			always
			postFilter
			preScore
			lifecycle
		}{s, s, s, s}
	default: // prefilter alone
		return struct{ always }{s}
	}
}
