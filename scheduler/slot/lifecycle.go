package slot

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// The points after a node was chosen, for slots that name them in args.unsafePoints. kube-scheduler calls some of them
// from binding goroutines, beside the next pod's cycle. They all get captured nodes, and they wait for the slot's one
// instance like any other call. A module that exports only some of them is neutral at the others.

func (s *slot) Reserve(ctx context.Context, state *framework.CycleState, pod *v1.Pod, node string) *framework.Status {
	return s.afterChoice(ctx, state, pod, pointReserve, nil, func(plugin framework.Plugin) *framework.Status {
		return plugin.(framework.ReservePlugin).Reserve(ctx, state, pod, node)
	})
}

func (s *slot) Unreserve(ctx context.Context, state *framework.CycleState, pod *v1.Pod, node string) {
	status := s.afterChoice(ctx, state, pod, pointUnreserve, nil, func(plugin framework.Plugin) *framework.Status {
		plugin.(framework.ReservePlugin).Unreserve(ctx, state, pod, node)
		return nil
	})
	s.logFailure(ctx, pod, status)
}

func (s *slot) Permit(ctx context.Context, state *framework.CycleState, pod *v1.Pod, node string) (status *framework.Status, wait time.Duration) {
	status = s.afterChoice(ctx, state, pod, pointPermit, nil, func(plugin framework.Plugin) (answer *framework.Status) {
		answer, wait = plugin.(framework.PermitPlugin).Permit(ctx, state, pod, node)
		return answer
	})
	return status, wait
}

func (s *slot) PreBind(ctx context.Context, state *framework.CycleState, pod *v1.Pod, node string) *framework.Status {
	return s.afterChoice(ctx, state, pod, pointPreBind, nil, func(plugin framework.Plugin) *framework.Status {
		return plugin.(framework.PreBindPlugin).PreBind(ctx, state, pod, node)
	})
}

func (s *slot) Bind(ctx context.Context, state *framework.CycleState, pod *v1.Pod, node string) *framework.Status {
	return s.afterChoice(ctx, state, pod, pointBind, framework.NewStatus(framework.Skip), func(plugin framework.Plugin) *framework.Status {
		return plugin.(framework.BindPlugin).Bind(ctx, state, pod, node)
	})
}

func (s *slot) PostBind(ctx context.Context, state *framework.CycleState, pod *v1.Pod, node string) {
	status := s.afterChoice(ctx, state, pod, pointPostBind, nil, func(plugin framework.Plugin) *framework.Status {
		plugin.(framework.PostBindPlugin).PostBind(ctx, state, pod, node)
		return nil
	})
	s.logFailure(ctx, pod, status)
}

// afterChoice answers neutral for a point that the module does not export.
func (s *slot) afterChoice(ctx context.Context, state *framework.CycleState, pod *v1.Pod, at point, neutral *framework.Status, run func(framework.Plugin) *framework.Status) *framework.Status {
	v := s.cycle(state, pod).version
	if !v.module.Exports[string(at)] {
		return neutral
	}
	status, _ := v.call(ctx, at, outsideCycle, func(i *instance) *framework.Status { return run(i.plugin) })
	return status
}

func (s *slot) logFailure(ctx context.Context, pod *v1.Pod, status *framework.Status) {
	if err := status.AsError(); err != nil {
		klog.FromContext(ctx).Error(err, "A plugin failed where the pod's cycle cannot", "pod", klog.KObj(pod))
	}
}
