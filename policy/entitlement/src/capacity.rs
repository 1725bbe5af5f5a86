//! Capacity: what the cluster has to give, summed node by node.
//!
//! A usable node gives what its kubelet can allocate, less what pods hold there that no pool manages. An
//! excluded node gives exactly what admitted pods still hold there: had it given nothing, the cordon of a rack
//! would turn the healthy work on it into an excess, and pods would be evicted for it.

use weir_model::ResourceVec;

/// Configuration that says which nodes are excluded.
///
/// ```
/// use weir_entitlement::Maintenance;
/// let maintenance = Maintenance { taint_keys: vec!["repair".into()], ..Maintenance::default() };
/// assert_eq!(maintenance.not_ready_hold_seconds, 300);
/// ```
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
///
/// ```
/// use weir_entitlement::{Maintenance, NodeUse};
/// let node = NodeUse { not_ready_seconds: Some(10), ..NodeUse::default() };
/// assert_eq!(node.exclusion(&Maintenance::default()), None, "not for long enough");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeUse {
    /// The keys of the node's taints, whatever their effect.
    pub taint_keys: Vec<String>,
    /// Whether `spec.unschedulable` is set.
    pub cordoned: bool,
    /// The seconds for which the node has not been ready; `None` while it is.
    pub not_ready_seconds: Option<u64>,
    /// `status.allocatable`.
    pub allocatable: ResourceVec,
    /// What admitted pods hold on the node, terminating ones included.
    pub admitted: ResourceVec,
    /// What all other pods hold on the node: DaemonSets, mirror pods, pods outside the pools.
    pub unmanaged: ResourceVec,
}

/// Why a node gives only what is held on it already.
///
/// ```
/// use weir_entitlement::{Exclusion, Maintenance, NodeUse};
/// let node = NodeUse { cordoned: true, ..NodeUse::default() };
/// assert_eq!(node.exclusion(&Maintenance::default()), Some(Exclusion::Cordoned));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exclusion {
    /// The node carries a maintenance taint.
    Maintenance,
    /// The node is cordoned.
    Cordoned,
    /// The node has not been ready for longer than the hold time.
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
    ///
    /// ```
    /// use weir_entitlement::{Exclusion, Maintenance, NodeUse};
    /// let maintenance = Maintenance { taint_keys: vec!["repair".into()], ..Maintenance::default() };
    /// let node = NodeUse { taint_keys: vec!["repair".into()], cordoned: true, ..NodeUse::default() };
    /// assert_eq!(node.exclusion(&maintenance), Some(Exclusion::Maintenance));
    /// ```
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

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::{Amount, Class, Dim, Dimensions};

    /// Eight GPUs of which five are held by admitted pods and one by an unmanaged one.
    fn node(gpu: Dim) -> NodeUse {
        let gpus = |count| ResourceVec::from_iter([(gpu, Amount::new(count))]);
        NodeUse { allocatable: gpus(8), admitted: gpus(5), unmanaged: gpus(1), ..NodeUse::default() }
    }

    /// Usable, unmanaged and excluded GPUs of one node.
    fn gpus(change: impl Fn(&mut NodeUse)) -> [i64; 3] {
        let gpu = Dimensions::new().intern("nvidia.com/gpu");
        let mut node = node(gpu);
        change(&mut node);
        let maintenance = Maintenance { taint_keys: vec!["example.com/repair".into()], ..Maintenance::default() };
        let Capacity { usable, unmanaged, excluded } = capacity([&node], &maintenance);
        [usable, unmanaged, excluded].map(|sum| sum.amount(gpu).units())
    }

    #[test]
    fn a_usable_node_gives_what_unmanaged_pods_leave() {
        assert_eq!(gpus(|_| ()), [7, 1, 0]);
        assert_eq!(gpus(|node| node.taint_keys.push("example.com/other".into())), [7, 1, 0]);
    }

    #[test]
    fn a_node_on_which_unmanaged_pods_hold_more_than_it_has_gives_nothing_and_takes_nothing_from_others() {
        assert_eq!(gpus(|node| std::mem::swap(&mut node.allocatable, &mut node.unmanaged)), [0, 8, 0]);
    }

    #[test]
    fn an_excluded_node_gives_exactly_what_admitted_pods_hold_there() {
        let excluded = [5, 1, 2];
        assert_eq!(gpus(|node| node.taint_keys.push("example.com/repair".into())), excluded);
        assert_eq!(gpus(|node| node.cordoned = true), excluded);
        assert_eq!(gpus(|node| node.not_ready_seconds = Some(301)), excluded);
    }

    #[test]
    fn a_node_that_is_not_ready_for_a_moment_still_counts() {
        assert_eq!(gpus(|node| node.not_ready_seconds = Some(300)), [7, 1, 0]);
    }

    #[test]
    fn the_first_reason_is_the_one_that_an_administrator_chose() {
        let mut node = NodeUse { cordoned: true, not_ready_seconds: Some(900), ..NodeUse::default() };
        let maintenance = Maintenance { taint_keys: vec!["example.com/repair".into()], ..Maintenance::default() };
        assert_eq!(node.exclusion(&maintenance), Some(Exclusion::Cordoned));
        node.taint_keys.push("example.com/repair".into());
        assert_eq!(node.exclusion(&maintenance), Some(Exclusion::Maintenance));
    }

    #[test]
    fn each_class_of_hosts_is_summed_by_itself() {
        let mut dims = Dimensions::new();
        let classes = [Class::CpuHosts, Class::GpuHosts, Class::Sku("H100".into())];
        let cpu = classes.map(|class| dims.intern(&class.dimension("cpu", false)));
        let host = |dim, cores| NodeUse {
            allocatable: ResourceVec::from_iter([(dim, Amount::new(cores))]),
            ..NodeUse::default()
        };
        let nodes = [host(cpu[0], 16), host(cpu[1], 64), host(cpu[1], 64), host(cpu[2], 96)];
        let usable = capacity(&nodes, &Maintenance::default()).usable;
        assert_eq!(cpu.map(|dim| usable.amount(dim).units()), [16, 128, 96]);
    }
}
