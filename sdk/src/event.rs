//! Which events in the cluster may make a rejected pod schedulable.

use core::ops::BitOr;

/// A kind of object and what has to happen to it.
///
/// ```
/// use kube_scheduler_guest::{ActionType, ClusterEvent, Resource};
/// let event = ClusterEvent::new(Resource::Node, ActionType::ADD | ActionType::UPDATE_NODE_LABEL);
/// assert_eq!(event.encoded(), [1, 0, 0, 0, 0b1001, 0, 0, 0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterEvent {
    resource: Resource,
    action: ActionType,
}

impl ClusterEvent {
    /// The event that `action` happens to an object of this kind.
    #[must_use]
    pub const fn new(resource: Resource, action: ActionType) -> Self {
        Self { resource, action }
    }

    /// As it goes to the host: two numbers of four bytes, the least significant first.
    #[must_use]
    pub fn encoded(self) -> [u8; 8] {
        let (resource, action) = ((self.resource as u32).to_le_bytes(), self.action.0.to_le_bytes());
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&resource);
        bytes[4..].copy_from_slice(&action);
        bytes
    }
}

/// The kinds of objects of which a plugin can hear, with the numbers of the ABI.
///
/// ```
/// use kube_scheduler_guest::{ActionType, ClusterEvent, Resource};
/// assert_eq!(ClusterEvent::new(Resource::StorageClass, ActionType::ADD).encoded()[0], 6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum Resource {
    /// Pods, the scheduled ones included.
    Pod = 0,
    /// Nodes.
    Node = 1,
    /// PersistentVolumes.
    PersistentVolume = 2,
    /// PersistentVolumeClaims.
    PersistentVolumeClaim = 3,
    /// PodSchedulingContexts.
    PodSchedulingContext = 4,
    /// ResourceClaims.
    ResourceClaim = 5,
    /// StorageClasses.
    StorageClass = 6,
    /// CSINodes.
    CsiNode = 7,
    /// CSIDrivers.
    CsiDriver = 8,
    /// CSIStorageCapacities.
    CsiStorageCapacity = 9,
    /// Everything.
    WildCard = 10,
}

/// What happens to an object, as a set of bits with the numbers of kube-scheduler 1.32.
///
/// A set that is too large costs attempts that fail again, one that is too small leaves a pod waiting up to five
/// minutes.
///
/// ```
/// use kube_scheduler_guest::ActionType;
/// let labels_or_taints = ActionType::UPDATE_NODE_LABEL | ActionType::UPDATE_NODE_TAINT;
/// assert_ne!(labels_or_taints, ActionType::UPDATE_NODE_LABEL);
/// assert_eq!(labels_or_taints | ActionType::ALL, ActionType::ALL);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionType(u32);

impl ActionType {
    /// It was made.
    pub const ADD: Self = Self(1);
    /// It is gone.
    pub const DELETE: Self = Self(1 << 1);
    /// A node has more or less to give than before.
    pub const UPDATE_NODE_ALLOCATABLE: Self = Self(1 << 2);
    /// A node's labels changed.
    pub const UPDATE_NODE_LABEL: Self = Self(1 << 3);
    /// A node's taints changed, or it was cordoned or uncordoned.
    pub const UPDATE_NODE_TAINT: Self = Self(1 << 4);
    /// A node's conditions changed; every heartbeat can.
    pub const UPDATE_NODE_CONDITION: Self = Self(1 << 5);
    /// A node's annotations changed.
    pub const UPDATE_NODE_ANNOTATION: Self = Self(1 << 6);
    /// A pod's labels changed.
    pub const UPDATE_POD_LABEL: Self = Self(1 << 7);
    /// A pod asks for less than before.
    pub const UPDATE_POD_SCALE_DOWN: Self = Self(1 << 8);
    /// A pod tolerates more than before.
    pub const UPDATE_POD_TOLERATIONS: Self = Self(1 << 9);
    /// The last scheduling gate of a pod was taken away.
    pub const UPDATE_POD_SCHEDULING_GATES_ELIMINATED: Self = Self(1 << 10);
    /// The resource claims that were made for a pod changed.
    pub const UPDATE_POD_GENERATED_RESOURCE_CLAIM: Self = Self(1 << 11);
    /// Anything.
    pub const ALL: Self = Self((1 << 13) - 1);
}

impl BitOr for ActionType {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
