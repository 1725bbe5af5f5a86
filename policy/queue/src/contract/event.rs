//! Events: what happened, as the queue is told of it.

use std::sync::Arc;

use super::decision::Held;
use super::hosts::Node;
use super::pod::{Grounds, Pod, PodShape, Uid};
use super::settings::{Config, PoolConfig};
use super::time::Time;

/// Something that happened. The order in which different objects are told of does not matter: a pod may
/// name a pool or a node that becomes known later.
///
/// ```
/// use weir_queue::{Event, PoolConfig, Time};
/// let pool = PoolConfig { name: "research".into(), ..PoolConfig::default() };
/// let events = [Event::Pools(vec![pool]), Event::SchedulerWorked(Time::ZERO)];
/// assert_ne!(events[0], Event::Tick);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A pod that asked for admission is there, or changed.
    Pod(Pod),
    /// A pod that Weir does not manage is bound to a node: what it holds is not divided.
    Unmanaged {
        /// The pod.
        uid: Uid,
        /// The pod's node.
        node: Arc<str>,
        /// What the pod holds.
        shape: Arc<PodShape>,
    },
    /// A pod, of either kind, is gone or finished.
    PodGone(Uid),
    /// A node is there, or changed.
    Node(Node),
    /// A node is gone.
    NodeGone(String),
    /// All pools as they are now.
    Pools(Vec<PoolConfig>),
    /// The configuration of the whole.
    Config(Config),
    /// All disruption budgets as they are now.
    Budgets(Vec<Budget>),
    /// The record of a round could not be written; what it decided is void.
    RoundLost(u64),
    /// What the record says that an earlier leader had decided.
    Restored(Record),
    /// A pool has been above its entitlement since a moment that an earlier leader told of in
    /// [`crate::Decision::Over`]. Tell it in the step in which the pools and pods become known: a step that finds
    /// no workload that waits for what the pool uses ends the time.
    OverSince {
        /// The pool.
        pool: String,
        /// The dimension.
        dim: String,
        /// The moment.
        since: Time,
    },
    /// The API server refused an eviction.
    EvictionRefused(Uid),
    /// The API server refuses to carry out the admission of a pod: the pod waits again, by itself, and backs off
    /// (B5c). Nothing follows for other pods, the rest of its gang included.
    AdmissionRefused {
        /// The pod.
        uid: Uid,
        /// The API server's sentence.
        why: String,
    },
    /// The scheduler bound a pod, or said why it cannot.
    SchedulerProgress,
    /// The scheduler bound a pod, or said why it cannot, at this moment, perhaps before this queue was there.
    SchedulerWorked(Time),
    /// Time went by.
    Tick,
}

/// A disruption budget.
///
/// ```
/// use weir_queue::{Budget, Event, Uid};
/// let budget = Budget { name: "team/serve".into(), allowed: 1, pods: vec![Uid::new(1), Uid::new(2)] };
/// assert_ne!(Event::Budgets(vec![budget]), Event::Budgets(vec![]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Namespace and name.
    pub name: String,
    /// How many of its pods may be evicted now.
    pub allowed: u32,
    /// The pods that it covers.
    pub pods: Vec<Uid>,
}

/// The record of rounds that an earlier leader left (B5a).
///
/// ```
/// use weir_queue::{Event, Grounds, Record, Recorded, Uid};
/// let admitted = Recorded { uid: Uid::new(1), node: Some("node-0".into()), grounds: Grounds::WithinEntitlement };
/// let record = Record { admitted: vec![admitted], ..Record::default() };
/// assert_ne!(Event::Restored(record), Event::Restored(Record::default()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The pods whose admission was decided.
    pub admitted: Vec<Recorded>,
    /// The claims.
    pub claims: Vec<RecordedClaim>,
    /// The pods that were about to be evicted, for a claimant or without one.
    pub victims: Vec<Uid>,
}

/// A pod whose admission was decided and recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The pod.
    pub uid: Uid,
    /// The node that the pod was assumed on, if any.
    pub node: Option<String>,
    /// The grounds of the admission.
    pub grounds: Grounds,
}

/// A claim that was decided and recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedClaim {
    /// The pods that the claim is for.
    pub claimant: Vec<Uid>,
    /// The nodes, one for each pod of the claimant; empty for a claim on quota alone.
    pub nodes: Vec<String>,
    /// What a claim from patience held on these nodes.
    pub held: Vec<Held>,
    /// The pods that make room.
    pub victims: Vec<Uid>,
}
