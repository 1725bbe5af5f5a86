// Package binder binds a pod as kube-scheduler's DefaultBinder does, and writes on it which version of which plugin had a
// say in where it went.
//
// It decides nothing, and costs no call: the API server takes a binding's annotations over to the pod. After a change of
// plugins in a running scheduler this is how anybody who may read a pod learns what decided about it.
package binder

import (
	"context"
	"encoding/json"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
	"k8s.io/kube-scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
)

// Name is the plugin's in a scheduler's configuration. A profile that enables it disables DefaultBinder, which would bind
// first.
const Name = "RecordingBinder"

// Annotation holds a JSON object: the versions by the plugins' names.
const Annotation = "weir.dev/placed-by"

// PlacedBy says which versions answered in a cycle, by the plugins' names.
type PlacedBy func(cycle framework.CycleState) map[string]string

// Factory makes the plugin for a profile.
func Factory(placedBy PlacedBy) frameworkruntime.PluginFactory {
	return func(_ context.Context, _ runtime.Object, handle framework.Handle) (framework.Plugin, error) {
		return &binder{handle, placedBy}, nil
	}
}

type binder struct {
	handle   framework.Handle
	placedBy PlacedBy
}

// Name implements framework.Plugin.
func (*binder) Name() string { return Name }

// Bind implements framework.BindPlugin.
func (b *binder) Bind(ctx context.Context, cycle framework.CycleState, pod *v1.Pod, node string) *framework.Status {
	klog.FromContext(ctx).V(3).Info("Attempting to bind pod to node", "pod", klog.KObj(pod), "node", klog.KRef("", node))
	binding := &v1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     v1.ObjectReference{Kind: "Node", Name: node},
	}
	if versions := b.placedBy(cycle); len(versions) > 0 {
		text, err := json.Marshal(versions)
		if err != nil {
			return framework.AsStatus(err)
		}
		binding.Annotations = map[string]string{Annotation: string(text)}
	}
	return framework.AsStatus(b.send(ctx, binding))
}

// send goes through the scheduler's dispatcher of API calls where it has one, which must see every binding to put calls
// about one pod in order.
func (b *binder) send(ctx context.Context, binding *v1.Binding) error {
	cacher := b.handle.APICacher()
	if cacher == nil {
		return b.handle.ClientSet().CoreV1().Pods(binding.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	}
	finished, err := cacher.BindPod(binding)
	if err != nil {
		return err
	}
	return cacher.WaitOnFinish(ctx, finished)
}
