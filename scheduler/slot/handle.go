package slot

import (
	"fmt"

	"k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/guestview"
)

// guestHandle is the handle that one instance of the extension's plugin gets. It is the scheduler's own, except that
// the nodes that guests ask for are their views.
//
// The extension asks the handle for a node by its name, and the handle cannot know for which of several parallel
// calls. Therefore each instance has a handle of its own, and whoever holds the instance says in sight what the call
// in flight may see. An instance is held by one caller at a time, so nothing here needs a lock.
type guestHandle struct {
	framework.Handle
	views *guestview.Cache
	sight sight

	// strayed says that the call in flight looked at another node than the one that it is about.
	strayed bool
}

// sight is what a call may see of the cluster. The zero value is for calls outside the scheduling cycle, where reading
// the scheduler's snapshot is a data race that kills the process: they get the views that were captured before.
type sight struct {
	// inCycle says that the call runs in the scheduling cycle.
	inCycle bool

	// current is the node that the call is about, as the scheduler gave it. It may differ from the node of that name in
	// the snapshot: pods that are nominated to it are added, or victims of a preemption taken away.
	current *guestview.View
}

var (
	outsideCycle = sight{}
	snapshotOnly = sight{inCycle: true}
)

// SnapshotSharedLister replaces the scheduler's by one that hands out views.
func (h *guestHandle) SnapshotSharedLister() framework.SharedLister { return guestLister{h} }

type guestLister struct{ handle *guestHandle }

func (l guestLister) NodeInfos() framework.NodeInfoLister       { return l }
func (l guestLister) StorageInfos() framework.StorageInfoLister { return l.snapshot().StorageInfos() }

func (l guestLister) snapshot() framework.SharedLister {
	return l.handle.Handle.SnapshotSharedLister()
}

// Get is the node that the call in flight is about, or any other node by its name.
func (l guestLister) Get(name string) (*framework.NodeInfo, error) {
	h := l.handle
	if current := h.sight.current; current != nil && current.Info.Node().Name == name {
		return current.Info, nil
	}
	h.strayed = true
	if !h.sight.inCycle {
		if view := h.views.Captured(name); view != nil {
			return view.Info, nil
		}
		return nil, fmt.Errorf("node %q was not seen in a scheduling cycle yet", name)
	}
	info, err := l.snapshot().NodeInfos().Get(name)
	if err != nil {
		return nil, err
	}
	return h.views.Of(info).Info, nil
}

func (l guestLister) List() ([]*framework.NodeInfo, error) {
	return l.list(framework.NodeInfoLister.List)
}

func (l guestLister) HavePodsWithAffinityList() ([]*framework.NodeInfo, error) {
	return l.list(framework.NodeInfoLister.HavePodsWithAffinityList)
}

func (l guestLister) HavePodsWithRequiredAntiAffinityList() ([]*framework.NodeInfo, error) {
	return l.list(framework.NodeInfoLister.HavePodsWithRequiredAntiAffinityList)
}

func (l guestLister) list(which func(framework.NodeInfoLister) ([]*framework.NodeInfo, error)) ([]*framework.NodeInfo, error) {
	h := l.handle
	h.strayed = true
	if !h.sight.inCycle {
		captured := h.views.AllCaptured()
		told := make([]*framework.NodeInfo, 0, len(captured))
		for _, view := range captured {
			told = append(told, view.Info)
		}
		return told, nil
	}
	infos, err := which(l.snapshot().NodeInfos())
	if err != nil {
		return nil, err
	}
	told := make([]*framework.NodeInfo, 0, len(infos))
	for _, info := range infos {
		told = append(told, h.views.Of(info).Info)
	}
	return told, nil
}
