package slot

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/guestview"
)

// selfTest makes one cycle with a pod and a node that nobody has, before the module is put in force. What the module
// decides does not matter. That it can decide does: a module that traps, or answers Error because it does not
// understand its settings, is refused with its own words.
func (v *version) selfTest(ctx context.Context) error {
	pod, node := probePod(), probeNode()
	return v.tryOut(ctx, pod, node, v.views.Detail().View(node))
}

// fewNodes are enough to find a module that cannot read what a real cluster has.
const fewNodes = 8

// selfTestOnCaptured asks a candidate about the pod that was asked about last and some nodes as they were told last. It
// needs no scheduling cycle, so it may run at any time.
func (v *version) selfTestOnCaptured(ctx context.Context, last *toldPod) error {
	if last == nil {
		return nil
	}
	pod := last.of
	if v.module.Pure {
		pod = last.told
	}
	for i, view := range v.views.AllCaptured() {
		if i == fewNodes {
			break
		}
		if err := v.tryOut(ctx, pod, view.Info, view); err != nil {
			return fmt.Errorf("about pod %s and node %s: %w", klog.KObj(last.of), view.Info.Node().Name, err)
		}
	}
	return nil
}

// tryOut makes one cycle.
func (v *version) tryOut(ctx context.Context, pod *v1.Pod, node *framework.NodeInfo, view *guestview.View) error {
	state := framework.NewCycleState()
	probe := sight{current: view}
	steps := []struct {
		at  point
		run func(*instance) *framework.Status
	}{
		{pointPreFilter, func(i *instance) *framework.Status {
			_, status := i.plugin.(framework.PreFilterPlugin).PreFilter(ctx, state, pod)
			return status
		}},
		{pointFilter, func(i *instance) *framework.Status {
			return i.filter(ctx, state, pod, node, view)
		}},
		{pointPreScore, func(i *instance) *framework.Status {
			return i.plugin.(framework.PreScorePlugin).PreScore(ctx, state, pod, []*framework.NodeInfo{node})
		}},
		{pointScore, func(i *instance) *framework.Status {
			_, status := i.score(ctx, state, pod, view)
			return status
		}},
	}
	for _, step := range steps {
		if !v.module.Exports[string(step.at)] {
			continue
		}
		status, _ := v.call(ctx, step.at, probe, step.run)
		if status.Code() == framework.Error {
			return fmt.Errorf("its self-test failed: %w", status.AsError())
		}
	}
	return nil
}

func probePod() *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "weir-self-test", Namespace: "weir-self-test", UID: "weir-self-test"},
		Spec: v1.PodSpec{Containers: []v1.Container{{
			Name: "main",
			Resources: v1.ResourceRequirements{Requests: v1.ResourceList{
				v1.ResourceCPU:    resource.MustParse("1"),
				v1.ResourceMemory: resource.MustParse("1Gi"),
			}},
		}}},
	}
}

func probeNode() *framework.NodeInfo {
	offered := v1.ResourceList{
		v1.ResourceCPU:    resource.MustParse("8"),
		v1.ResourceMemory: resource.MustParse("32Gi"),
		v1.ResourcePods:   resource.MustParse("110"),
	}
	info := framework.NewNodeInfo()
	info.SetNode(&v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "weir-self-test"},
		Status:     v1.NodeStatus{Capacity: offered, Allocatable: offered},
	})
	return info
}
