// Package nodeview says what a plugin in a WebAssembly module is told of a node and of a pod.
//
// It decides the content and nothing else: which plugin is asked, and what becomes of the answer, is the slot's.
// docs/guest-view.md is the same in words; testdata/golden holds examples that the Go and the Rust tests both read.
package nodeview

import (
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/load"
)

const (
	// Prefix is of the annotations that the host writes for its guests. They exist in a guest's view only: an
	// annotation of this prefix on the real Node is dropped, so that nobody who may write to a Node can lie to a plugin.
	Prefix = "node.weir.dev/"

	// RequestedPrefix and a resource name: what the pods of the node ask for, as a decimal integer in kube-scheduler's
	// base unit (milli-CPU for cpu, bytes for memory and disk, pieces for everything else).
	RequestedPrefix = Prefix + "requested."

	// LoadPrefix and a resource name: what everything on the node was measured to use, in the same units. It is there only
	// while the sample is fresh, for plugins that ask for load.
	LoadPrefix = Prefix + "load."

	// LoadSampledRequestedPrefix and a resource name: what those pods of the node ask for that were there before the
	// sample's window began. What requested exceeds it by was placed since and is not, or not fully, in the load.
	LoadSampledRequestedPrefix = Prefix + "load-sampled-requested."

	// RequestedPods is the number of pods on the node, those included that are assumed and not bound yet.
	RequestedPods = Prefix + "requested-pods"
)

// Detail is how much of a Node a guest gets.
type Detail struct {
	// Whole keeps every field of the Node, for guests that were written for the plain extension. Otherwise the
	// Node is trimmed: name, labels, taints, unschedulable, capacity and allocatable are all that a placement
	// decision of ours reads, and a trimmed Node costs a twentieth of the time to marshal.
	Whole bool

	// Annotations are the keys of the real annotations that a trimmed Node keeps. A whole Node keeps all.
	Annotations []string

	// LoadFreshFor is how long a sample of the node's load is told after it was taken. Zero: no load is told, and a new
	// sample makes no new view.
	LoadFreshFor time.Duration

	// WithoutRequests leaves out what the pods of the node ask for, and how many they are. What is told then depends on the
	// Node object alone, so it stays the same however pods come and go. No load can be told beside it, which is told as what
	// those pods use.
	WithoutRequests bool
}

// Node builds what a guest is told of a node, with a sample of its load if there is a fresh one. The result shares
// labels, taints and resource lists with the Node it was made from, which the scheduler replaces and never changes;
// nothing in it may be written to.
func (d Detail) Node(info framework.NodeInfo, fresh *load.Sample) *v1.Node {
	annotations := d.told(info, fresh)
	if d.Whole {
		node := *info.Node()
		node.Annotations = annotations
		return &node
	}
	return trimmed(info.Node(), annotations)
}

// told are a Node's annotations as a guest gets them.
func (d Detail) told(info framework.NodeInfo, fresh *load.Sample) map[string]string {
	annotations := d.annotations(info.Node())
	if !d.WithoutRequests {
		writeRequested(annotations, info)
	}
	if fresh != nil {
		writeLoad(annotations, info, fresh)
	}
	return annotations
}

// trimmed is what a placement decision of ours reads.
func trimmed(real *v1.Node, annotations map[string]string) *v1.Node {
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: real.Name, Labels: real.Labels, Annotations: annotations},
		Spec:       v1.NodeSpec{Taints: real.Spec.Taints, Unschedulable: real.Spec.Unschedulable},
		Status:     v1.NodeStatus{Capacity: real.Status.Capacity, Allocatable: real.Status.Allocatable},
	}
}

// annotations copies the real annotations that the guest may see. The map has room for what the host adds.
func (d Detail) annotations(real *v1.Node) map[string]string {
	if !d.Whole {
		kept := make(map[string]string, len(d.Annotations)+len(real.Status.Allocatable)+4)
		for _, key := range d.Annotations {
			if value, ok := real.Annotations[key]; ok && !strings.HasPrefix(key, Prefix) {
				kept[key] = value
			}
		}
		return kept
	}
	kept := make(map[string]string, len(real.Annotations)+len(real.Status.Allocatable)+4)
	for key, value := range real.Annotations {
		if !strings.HasPrefix(key, Prefix) {
			kept[key] = value
		}
	}
	return kept
}

// writeRequested adds what is requested on the node. A resource that the node offers is always there, 0 included, so
// that a guest can tell "nothing is requested" from "this host does not say" (the plain extension); a resource that
// the node does not offer (its device plugin is gone) is there while pods still hold some of it.
func writeRequested(annotations map[string]string, info framework.NodeInfo) {
	requested := info.GetRequested()
	annotations[RequestedPrefix+string(v1.ResourceCPU)] = strconv.FormatInt(requested.GetMilliCPU(), 10)
	annotations[RequestedPrefix+string(v1.ResourceMemory)] = strconv.FormatInt(requested.GetMemory(), 10)
	annotations[RequestedPrefix+string(v1.ResourceEphemeralStorage)] = strconv.FormatInt(requested.GetEphemeralStorage(), 10)
	for name := range info.GetAllocatable().GetScalarResources() {
		annotations[RequestedPrefix+string(name)] = strconv.FormatInt(requested.GetScalarResources()[name], 10)
	}
	for name, amount := range requested.GetScalarResources() {
		if amount != 0 {
			annotations[RequestedPrefix+string(name)] = strconv.FormatInt(amount, 10)
		}
	}
	annotations[RequestedPods] = strconv.Itoa(len(info.GetPods()))
}

func writeLoad(annotations map[string]string, info framework.NodeInfo, sample *load.Sample) {
	since := requestedSince(info, sample.Begin())
	for name, used := range sample.Usage {
		annotations[LoadPrefix+string(name)] = strconv.FormatInt(used, 10)
		measured := amount(info.GetRequested(), name) - amount(since, name)
		annotations[LoadSampledRequestedPrefix+string(name)] = strconv.FormatInt(measured, 10)
	}
}

// requestedSince is what the pods ask for that were placed after a time. It is computed from the pods and not kept as
// a history, so it is right for a node that no plugin looked at for a while, and after a restart.
func requestedSince(info framework.NodeInfo, begin time.Time) framework.Resource {
	var newer []*v1.Pod
	for _, pod := range info.GetPods() {
		if !placedBefore(pod.GetPod(), begin) {
			newer = append(newer, pod.GetPod())
		}
	}
	if len(newer) == 0 {
		return &upstream.Resource{}
	}
	return upstream.NewNodeInfo(newer...).GetRequested()
}

// placedBefore reads when the API server accepted the binding. A pod without that condition is one that this scheduler
// has just placed, unless a kubelet has started it without any scheduler.
func placedBefore(pod *v1.Pod, begin time.Time) bool {
	for i := range pod.Status.Conditions {
		condition := &pod.Status.Conditions[i]
		if condition.Type == v1.PodScheduled && condition.Status == v1.ConditionTrue {
			return condition.LastTransitionTime.Time.Before(begin)
		}
	}
	return pod.Status.StartTime != nil && pod.Status.StartTime.Time.Before(begin)
}

func amount(of framework.Resource, name v1.ResourceName) int64 {
	switch name {
	case v1.ResourceCPU:
		return of.GetMilliCPU()
	case v1.ResourceMemory:
		return of.GetMemory()
	case v1.ResourceEphemeralStorage:
		return of.GetEphemeralStorage()
	default:
		return of.GetScalarResources()[name]
	}
}
