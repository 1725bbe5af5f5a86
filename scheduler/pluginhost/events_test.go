package pluginhost

import (
	"testing"

	"k8s.io/kube-scheduler/framework"

	"weir.dev/scheduler/guest"
)

// kube-scheduler gave bits of its own to new actions, in the middle of those that modules were built with.
func TestEventsAreTranslatedFromTheABIsNumbers(t *testing.T) {
	for _, test := range []struct {
		asked guest.ClusterEvent
		want  framework.ClusterEvent
	}{
		{guest.ClusterEvent{Resource: 1, Action: 1 | 4 | 8 | 16}, framework.ClusterEvent{Resource: framework.Node,
			ActionType: framework.Add | framework.UpdateNodeAllocatable | framework.UpdateNodeLabel | framework.UpdateNodeTaint}},
		{guest.ClusterEvent{Resource: 0, Action: 1 << 7}, framework.ClusterEvent{Resource: framework.Pod, ActionType: framework.UpdatePodLabel}},
		{guest.ClusterEvent{Resource: 0, Action: 1 << 8}, framework.ClusterEvent{Resource: framework.Pod, ActionType: framework.UpdatePodScaleDown}},
		{guest.ClusterEvent{Resource: 0, Action: 1 << 9}, framework.ClusterEvent{Resource: framework.Pod, ActionType: framework.UpdatePodToleration}},
		{guest.ClusterEvent{Resource: 5, Action: 1 << 11}, framework.ClusterEvent{Resource: framework.ResourceClaim, ActionType: framework.UpdatePodGeneratedResourceClaim}},
		{guest.ClusterEvent{Resource: 9, Action: 2}, framework.ClusterEvent{Resource: framework.CSIStorageCapacity, ActionType: framework.Delete}},
	} {
		got, err := clusterEvents([]guest.ClusterEvent{test.asked})
		if err != nil || len(got) != 1 || got[0].Event != test.want {
			t.Errorf("%+v is translated to %+v (%v), want %+v", test.asked, got, err, test.want)
		}
	}
	if gone, err := clusterEvents([]guest.ClusterEvent{{Resource: abiGoneResource, Action: 1}}); err != nil || len(gone) != 0 {
		t.Errorf("a kind that Kubernetes does not have any more is translated to %v (%v)", gone, err)
	}
	if _, err := clusterEvents([]guest.ClusterEvent{{Resource: 99, Action: 1}}); err == nil {
		t.Error("a resource that does not exist is translated")
	}
	if all, err := clusterEvents([]guest.ClusterEvent{{Resource: 10, Action: 1}}); err != nil || len(all) != len(everyEvent()) {
		t.Errorf("all resources are %d events (%v)", len(all), err)
	}
}

func TestASelfTestRecordsNoEvent(t *testing.T) {
	s := startSwapping(t, loud(), Args{SideEffects: []string{effectEvents}})
	select {
	case event := <-s.recorder.Events:
		t.Errorf("there is an event: %q", event)
	default:
	}
}
