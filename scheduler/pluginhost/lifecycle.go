package pluginhost

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/guest"
)

// The points after a node was chosen. kube-scheduler calls some of them from binding goroutines, beside the next pod's
// cycle. They all get captured nodes, and they wait for the slot's one instance like any other call. A module that exports
// only some of them is neutral at the others.

// Reserve implements framework.ReservePlugin.
func (s *slot) Reserve(_ context.Context, state framework.CycleState, pod *v1.Pod, node string) *framework.Status {
	_, status := s.afterChoice(state, pod, node, guest.Reserve)
	return status
}

// Unreserve implements framework.ReservePlugin.
func (s *slot) Unreserve(ctx context.Context, state framework.CycleState, pod *v1.Pod, node string) {
	_, status := s.afterChoice(state, pod, node, guest.Unreserve)
	logFailure(ctx, pod, status)
}

// Permit implements framework.PermitPlugin.
func (s *slot) Permit(_ context.Context, state framework.CycleState, pod *v1.Pod, node string) (*framework.Status, time.Duration) {
	answer, status := s.afterChoice(state, pod, node, guest.Permit)
	return status, time.Duration(uint32(answer.Code())) * time.Millisecond
}

// PreBindPreFlight implements framework.PreBindPlugin.
func (s *slot) PreBindPreFlight(_ context.Context, state framework.CycleState, pod *v1.Pod, _ string) (*framework.PreBindPreFlightResult, *framework.Status) {
	if !s.cycle(state, pod).version.module.Exports[guest.PreBind.Export()] {
		return nil, framework.NewStatus(framework.Skip)
	}
	return nil, nil
}

// PreBind implements framework.PreBindPlugin.
func (s *slot) PreBind(_ context.Context, state framework.CycleState, pod *v1.Pod, node string) *framework.Status {
	_, status := s.afterChoice(state, pod, node, guest.PreBind)
	return status
}

// Bind implements framework.BindPlugin.
func (s *slot) Bind(_ context.Context, state framework.CycleState, pod *v1.Pod, node string) *framework.Status {
	if !s.cycle(state, pod).version.module.Exports[guest.Bind.Export()] {
		return framework.NewStatus(framework.Skip)
	}
	_, status := s.afterChoice(state, pod, node, guest.Bind)
	return status
}

// PostBind implements framework.PostBindPlugin.
func (s *slot) PostBind(ctx context.Context, state framework.CycleState, pod *v1.Pod, node string) {
	_, status := s.afterChoice(state, pod, node, guest.PostBind)
	logFailure(ctx, pod, status)
}

// afterChoice answers success for a point that the module does not export.
func (s *slot) afterChoice(state framework.CycleState, pod *v1.Pod, node string, at guest.Point) (guest.Answer, *framework.Status) {
	c := s.cycle(state, pod)
	if !c.version.module.Exports[at.Export()] {
		return guest.Answer{}, nil
	}
	answer, status, _ := c.version.call(at, c.version.outsideCycle(), c.view, func(call *guest.Call) { call.NodeName = node })
	return answer, status
}

func logFailure(ctx context.Context, pod *v1.Pod, status *framework.Status) {
	if err := status.AsError(); err != nil {
		klog.FromContext(ctx).Error(err, "A plugin failed where the pod's cycle cannot", "pod", klog.KObj(pod))
	}
}
