package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"weir.dev/scheduler/nodeview"
)

// podView is a pod and what guests are told of it. It never changes.
type podView struct {
	of *v1.Pod
	*podContent
}

// podContent is what guests are told of a pod, and of others like it.
type podContent struct {
	// message is empty if the pod cannot be written down, and then nothing is remembered of it.
	message string

	// kind is a short name of the content.
	kind func() string
}

// same says whether two views are of one pod; that which is bound is a copy of that which was scheduled.
func (p *podView) same(other *podView) bool {
	return p != nil && p.of != nil && other.of != nil && p.of.UID == other.of.UID
}

// nobody is told at points that are about no pod.
var nobody = &podView{podContent: contentOf("")}

func contentOf(message string) *podContent {
	return &podContent{message: message, kind: sync.OnceValue(func() string {
		sum := sha256.Sum256([]byte(message))
		return hex.EncodeToString(sum[:])
	})}
}

// wholePod is what a guest is told that does not declare itself pure.
func wholePod(pod *v1.Pod) *podView { return &podView{pod, contentOf(written(pod, pod))} }

// written is a pod's message. Of is the pod that it is told of.
func written(told, of *v1.Pod) string {
	message, err := told.Marshal()
	if err != nil {
		klog.Background().Error(err, "A pod cannot be written down", "pod", klog.KObj(of))
		return ""
	}
	return string(message)
}

// purePod builds what pure guests are told of a pod, once for all slots. A Pod that the scheduler has is never changed:
// the same pointer is the same content.
func (h *Host) purePod(pod *v1.Pod) *podView {
	last := h.podView.Load()
	if last != nil && last.of == pod {
		return last
	}
	message := written(nodeview.Pod(pod), pod)
	built := &podView{of: pod}
	if last != nil && last.message == message {
		built.podContent = last.podContent // its sibling: instances that know the one know the other
	} else {
		built.podContent = contentOf(message)
	}
	h.podView.Store(built)
	return built
}
