package pluginhost

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/nodeview"
)

// selfTest makes one cycle with a pod and a node that nobody has, before the module is put in force. What the module
// decides does not matter. That it can decide does: a module that traps, or answers Error because it does not
// understand its settings, is refused with its own words.
func (v *version) selfTest() error {
	return v.tryOut(v.viewed(probePod()), v.views.Detail().View(probeNode()))
}

// viewed is a pod as the module is told of it.
func (v *version) viewed(pod *v1.Pod) *podView {
	if v.module.Pure {
		return &podView{pod, contentOf(written(nodeview.Pod(pod), pod))}
	}
	return wholePod(pod)
}

// fewNodes are enough to find a module that cannot read what a real cluster has.
const fewNodes = 8

// selfTestOnCaptured asks a candidate about the pod that was asked about last and some nodes as they were told last. It
// needs no scheduling cycle, so it may run at any time.
func (v *version) selfTestOnCaptured(last *podView) error {
	if last == nil {
		return nil
	}
	pod := v.viewed(last.of)
	for i, view := range v.views.AllCaptured() {
		if i == fewNodes {
			break
		}
		if err := v.tryOut(pod, view); err != nil {
			return fmt.Errorf("about pod %s and node %s: %w", klog.KObj(last.of), view.Name, err)
		}
	}
	return nil
}

// tryOut makes one cycle. Points after a node was chosen are left out: what a module does there, it does for a pod.
func (v *version) tryOut(pod *podView, view *nodeview.View) error {
	scope := v.outsideCycle().about(view)
	scope.trial = true
	passed := func(call *guest.Call) { call.Filtered = func() []string { return []string{view.Name} } }
	for _, at := range []guest.Point{guest.PreFilter, guest.Filter, guest.PreScore, guest.Score} {
		if !v.module.Exports[at.Export()] {
			continue
		}
		if _, status, _ := v.call(at, scope, pod, passed); status.Code() == framework.Error {
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

func probeNode() framework.NodeInfo {
	offered := v1.ResourceList{
		v1.ResourceCPU:    resource.MustParse("8"),
		v1.ResourceMemory: resource.MustParse("32Gi"),
		v1.ResourcePods:   resource.MustParse("110"),
	}
	info := upstream.NewNodeInfo()
	info.SetNode(&v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "weir-self-test"},
		Status:     v1.NodeStatus{Capacity: offered, Allocatable: offered},
	})
	return info
}
