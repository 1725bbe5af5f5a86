package pluginhost

import "k8s.io/kube-scheduler/framework"

// rootOf is the cycle of the group that a group belongs to in the end: groups of groups are placed as one.
func rootOf(group framework.PodGroupCycleState) framework.PodGroupCycleState {
	for group != nil {
		placement := group.GetParentPlacementCycleState()
		if placement == nil {
			break
		}
		parent := placement.GetPodGroupSchedulingCycle()
		if parent == nil {
			break
		}
		group = parent
	}
	return group
}
