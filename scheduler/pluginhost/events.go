package pluginhost

import (
	"fmt"

	"k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"

	"weir.dev/scheduler/guest"
)

// Modules name events by the numbers of kube-scheduler 1.32, which the ABI has kept; kube-scheduler's own numbers move from
// one minor to the next. These tables lie between the two.

// abiResources are the resources by the ABI's numbers. Number 4 was a kind that Kubernetes does not have any more.
var abiResources = map[uint32]framework.EventResource{
	0: framework.Pod, 1: framework.Node, 2: framework.PersistentVolume, 3: framework.PersistentVolumeClaim,
	5: framework.ResourceClaim, 6: framework.StorageClass, 7: framework.CSINode, 8: framework.CSIDriver,
	9: framework.CSIStorageCapacity, 10: framework.WildCard,
}

const abiGoneResource = 4

// abiActions are the actions by the ABI's bits.
var abiActions = map[uint32]framework.ActionType{
	1 << 0: framework.Add, 1 << 1: framework.Delete, 1 << 2: framework.UpdateNodeAllocatable,
	1 << 3: framework.UpdateNodeLabel, 1 << 4: framework.UpdateNodeTaint, 1 << 5: framework.UpdateNodeCondition,
	1 << 6: framework.UpdateNodeAnnotation, 1 << 7: framework.UpdatePodLabel, 1 << 8: framework.UpdatePodScaleDown,
	1 << 9: framework.UpdatePodToleration, 1 << 10: framework.UpdatePodSchedulingGatesEliminated,
	1 << 11: framework.UpdatePodGeneratedResourceClaim,
}

// clusterEvents translates what a module asks to be woken by.
func clusterEvents(asked []guest.ClusterEvent) ([]framework.ClusterEventWithHint, error) {
	var events []framework.ClusterEventWithHint
	for _, each := range asked {
		if each.Resource == abiGoneResource {
			continue
		}
		resource, ok := abiResources[each.Resource]
		if !ok {
			return nil, fmt.Errorf("it asks for events of resource %d; the ABI has 0 to 10", each.Resource)
		}
		if resource == framework.WildCard {
			return everyEvent(), nil
		}
		events = append(events, framework.ClusterEventWithHint{Event: framework.ClusterEvent{
			Resource: resource, ActionType: actionsOf(each.Action),
		}})
	}
	return events, nil
}

// actionsOf leaves bits out that the ABI does not have: in a set of all, they are those of a kube-scheduler that is newer.
func actionsOf(bits uint32) framework.ActionType {
	var actions framework.ActionType
	for bit, action := range abiActions {
		if bits&bit != 0 {
			actions |= action
		}
	}
	return actions
}

// everyEvent is what a module is woken by that names none, as in the extension.
func everyEvent() []framework.ClusterEventWithHint { return upstream.UnrollWildCardResource() }
