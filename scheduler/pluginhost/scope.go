package pluginhost

import (
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/guest"
	"weir.dev/scheduler/nodeview"
)

// callScope is what a call may see of the cluster. Without a snapshot it is a call outside the scheduling cycle, where
// reading the scheduler's is a data race that kills the process: such a call gets the views that were captured before.
type callScope struct {
	// snapshot are the nodes of the cycle that the call runs in; nil outside one.
	snapshot framework.NodeInfoLister

	// views are the slot's, as this kind of cycle reads them.
	views nodeview.Reader

	// current is the node that the call is about, as the scheduler gave it. It may differ from the node of that name in
	// the snapshot: pods that are nominated to it are added, or victims of a preemption taken away.
	current *nodeview.View

	// trial says that the call is about a pod that nobody has: what the module does beside answering is not done.
	trial bool
}

// about narrows the scope to one node.
func (s callScope) about(view *nodeview.View) callScope {
	s.current = view
	return s
}

// scopedNodes answers a guest's questions about nodes within the scope of the call in flight. An instance is held by one
// caller at a time, so nothing here needs a lock.
type scopedNodes struct {
	scope callScope

	// readOtherNode says that the call in flight looked at another node than the one that it is about.
	readOtherNode bool

	// list is what nodeList answers; a guest asks twice, for the size and for the content.
	list string
}

func (n *scopedNodes) begin(scope callScope) { *n = scopedNodes{scope: scope} }

// Node is the node that the call in flight is about, or any other node by its name.
func (n *scopedNodes) Node(name string) string {
	if view := n.view(name); view != nil {
		return view.Message()
	}
	return ""
}

func (n *scopedNodes) view(name string) *nodeview.View {
	if current := n.scope.current; current != nil && current.Name == name {
		return current
	}
	n.readOtherNode = true
	if n.scope.snapshot == nil {
		return n.scope.views.Captured(name)
	}
	info, err := n.scope.snapshot.Get(name)
	if err != nil {
		return nil
	}
	return n.scope.views.Of(info)
}

// Images are the images on a node.
func (n *scopedNodes) Images(name string) map[string]guest.ImageState {
	view := n.view(name)
	if view == nil {
		return nil
	}
	images := make(map[string]guest.ImageState, len(view.Images()))
	for image, state := range view.Images() {
		images[image] = guest.ImageState{Size: state.Size, NumNodes: state.NumNodes}
	}
	return images
}

// List is a NodeList, whose items are written one after the other.
func (n *scopedNodes) List() string {
	n.readOtherNode = true
	if n.list != "" {
		return n.list
	}
	var messages []byte
	for _, view := range n.all() {
		messages = appendItem(messages, view.Message())
	}
	n.list = string(messages)
	return n.list
}

func (n *scopedNodes) all() []*nodeview.View {
	if n.scope.snapshot == nil {
		return n.scope.views.AllCaptured()
	}
	infos, err := n.scope.snapshot.List()
	if err != nil {
		return nil
	}
	views := make([]*nodeview.View, 0, len(infos))
	for _, info := range infos {
		views = append(views, n.scope.views.Of(info))
	}
	return views
}

// itemsTag is the field of a NodeList that holds a node, with a length behind it.
const itemsTag = 2<<3 | 2

func appendItem(to []byte, message string) []byte {
	to = append(to, itemsTag)
	length := uint64(len(message))
	for ; length >= 0x80; length >>= 7 {
		to = append(to, byte(length)|0x80)
	}
	return append(append(to, byte(length)), message...)
}

// effects is what a guest may do beyond answering, as far as its slot allows it.
type effects struct {
	handle  framework.Handle
	allowed sideEffects
	plugin  string
}

// Record hands an event on, of an object in the cluster.
func (e *effects) Record(event guest.Event) {
	recorder := e.handle.EventRecorder()
	if !e.allowed.events || recorder == nil {
		return
	}
	regarding, related := reference(event.RegardingReference), reference(event.RelatedReference)
	// The note of a guest is a format without arguments.
	note := strings.ReplaceAll(event.Note, "%%", "%")
	if related.Name == "" {
		recorder.Eventf(regarding, nil, event.Eventtype, event.Reason, event.Action, "%s", note)
		return
	}
	recorder.Eventf(regarding, related, event.Eventtype, event.Reason, event.Action, "%s", note)
}

func reference(of guest.Reference) *v1.ObjectReference {
	return &v1.ObjectReference{
		APIVersion: of.APIVersion, Kind: of.Kind, Namespace: of.Namespace, Name: of.Name, UID: uid(of.UID),
	}
}

// WaitingPod is a pod that waits at Permit.
func (e *effects) WaitingPod(name string) string {
	if !e.allowed.waitingPods {
		return ""
	}
	waiting := e.handle.GetWaitingPod(uid(name))
	if waiting == nil {
		return ""
	}
	message, err := waiting.GetPod().Marshal()
	if err != nil {
		return ""
	}
	return string(message)
}

// RejectWaitingPod says whether there was one.
func (e *effects) RejectWaitingPod(name string) bool {
	return e.allowed.waitingPods && e.handle.RejectWaitingPod(uid(name))
}
