package main

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// handle is the scheduler as a record has it.
type handle struct {
	framework.Handle
	nodes   []*framework.NodeInfo
	byName  map[string]*framework.NodeInfo
	waiting map[string]*v1.Pod

	recorded, rejected []string
}

func (h *handle) begin(record *Record) error {
	*h = handle{byName: map[string]*framework.NodeInfo{}, waiting: map[string]*v1.Pod{}}
	for _, message := range record.Nodes {
		node := &v1.Node{}
		if err := node.Unmarshal(message); err != nil {
			return fmt.Errorf("reading a node: %w", err)
		}
		info := framework.NewNodeInfo()
		info.SetNode(node)
		for _, image := range record.Images {
			info.ImageStates[image] = &framework.ImageStateSummary{Size: int64(len(image)), NumNodes: len(record.Nodes)}
		}
		h.nodes, h.byName[node.Name] = append(h.nodes, info), info
	}
	for uid, message := range record.Waiting {
		pod, err := podOf(message)
		if err != nil {
			return err
		}
		h.waiting[uid] = pod
	}
	return nil
}

func (h *handle) SnapshotSharedLister() framework.SharedLister             { return h }
func (h *handle) NodeInfos() framework.NodeInfoLister                      { return h }
func (h *handle) StorageInfos() framework.StorageInfoLister                { return nil }
func (h *handle) List() ([]*framework.NodeInfo, error)                     { return h.nodes, nil }
func (h *handle) HavePodsWithAffinityList() ([]*framework.NodeInfo, error) { return nil, nil }
func (h *handle) HavePodsWithRequiredAntiAffinityList() ([]*framework.NodeInfo, error) {
	return nil, nil
}

func (h *handle) Get(name string) (*framework.NodeInfo, error) {
	if info, ok := h.byName[name]; ok {
		return info, nil
	}
	return nil, fmt.Errorf("there is no node %q", name)
}

func (h *handle) EventRecorder() events.EventRecorder { return h }

// Eventf keeps what the module meant: the extension formats its note with one argument too many.
func (h *handle) Eventf(regarding, _ runtime.Object, kind, reason, action, note string, _ ...any) {
	about, ok := regarding.(*v1.ObjectReference)
	if !ok {
		about = &v1.ObjectReference{}
	}
	h.recorded = append(h.recorded, fmt.Sprintf("%s %s/%s %s %s %s: %s", about.Kind, about.Namespace, about.Name, kind, reason, action, note))
}

func (h *handle) GetWaitingPod(uid types.UID) framework.WaitingPod {
	if pod, ok := h.waiting[string(uid)]; ok {
		return waitingPod{pod: pod}
	}
	return nil
}

func (h *handle) RejectWaitingPod(uid types.UID) bool {
	_, ok := h.waiting[string(uid)]
	if ok {
		h.rejected = append(h.rejected, string(uid))
	}
	return ok
}

type waitingPod struct {
	framework.WaitingPod
	pod *v1.Pod
}

func (w waitingPod) GetPod() *v1.Pod { return w.pod }
