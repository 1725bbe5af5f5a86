//! What the cluster has to give, summed node by node.
//!
//! A usable node gives what its kubelet can allocate, less what pods hold there that no pool manages. An
//! excluded node gives exactly what admitted pods still hold there: had it given nothing, the cordon of a rack
//! would turn the healthy work on it into an excess, and somebody would be evicted for it.

use weir_model::ResourceVec;

/// Which nodes are excluded; configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// The taint keys that take a node out of the capacity.
    pub taint_keys: Vec<String>,
    /// How long a node may be not ready before it counts as excluded, in seconds.
    pub not_ready_hold_seconds: u64,
}

impl Default for Maintenance {
    /// No taint keys; five minutes.
    fn default() -> Self {
        Self { taint_keys: Vec::new(), not_ready_hold_seconds: 300 }
    }
}

/// One node as capacity sees it. Amounts are in the dimensions of the node's class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeUse {
    /// The keys of the node's taints, whatever their effect.
    pub taint_keys: Vec<String>,
    /// Whether `spec.unschedulable` is set.
    pub cordoned: bool,
    /// For how many seconds the node has not been ready; `None` while it is.
    pub not_ready_seconds: Option<u64>,
    /// `status.allocatable`.
    pub allocatable: ResourceVec,
    /// What admitted pods hold on it, terminating ones included.
    pub admitted: ResourceVec,
    /// What all other pods hold on it: DaemonSets, mirror pods, pods outside the pools.
    pub unmanaged: ResourceVec,
}

/// Why a node gives only what is held on it already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exclusion {
    /// It carries a maintenance taint.
    Maintenance,
    /// It is cordoned.
    Cordoned,
    /// It has not been ready for longer than the hold time.
    NotReady,
}

/// What the cluster has to give, and what is kept from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// What the pools divide.
    pub usable: ResourceVec,
    /// What unmanaged pods hold, on all nodes.
    pub unmanaged: ResourceVec,
    /// What was free on excluded nodes and therefore is not divided.
    pub excluded: ResourceVec,
}

/// The capacity of these nodes, in any order.
///
/// ```
/// use weir_entitlement::{Maintenance, NodeUse, capacity};
/// use weir_model::{Amount, Dimensions, ResourceVec};
/// let gpu = Dimensions::new().intern("nvidia.com/gpu");
/// let gpus = |n| ResourceVec::from_iter([(gpu, Amount::new(n))]);
/// let busy = NodeUse { allocatable: gpus(8), admitted: gpus(6), ..NodeUse::default() };
/// let cordoned = NodeUse { cordoned: true, ..busy.clone() };
/// let sum = capacity(&[busy, cordoned], &Maintenance::default());
/// assert_eq!(sum.usable.amount(gpu), Amount::new(8 + 6));
/// assert_eq!(sum.excluded.amount(gpu), Amount::new(2));
/// ```
#[must_use]
pub fn capacity<'a>(nodes: impl IntoIterator<Item = &'a NodeUse>, maintenance: &Maintenance) -> Capacity {
    let mut sum = Capacity::default();
    for node in nodes {
        let mut room = node.allocatable.clone();
        room.subtract(&node.unmanaged);
        sum.unmanaged.add(&node.unmanaged);
        if node.exclusion(maintenance).is_none() {
            sum.usable.add(&room);
        } else {
            sum.usable.add(&node.admitted);
            room.subtract(&node.admitted);
            sum.excluded.add(&room);
        }
    }
    sum
}

impl NodeUse {
    /// Why the node is excluded, if it is.
    #[must_use]
    pub fn exclusion(&self, maintenance: &Maintenance) -> Option<Exclusion> {
        let Maintenance { taint_keys, not_ready_hold_seconds } = maintenance;
        if self.taint_keys.iter().any(|key| taint_keys.contains(key)) {
            return Some(Exclusion::Maintenance);
        }
        if self.cordoned {
            return Some(Exclusion::Cordoned);
        }
        let too_long = self.not_ready_seconds.is_some_and(|seconds| seconds > *not_ready_hold_seconds);
        too_long.then_some(Exclusion::NotReady)
    }
}
