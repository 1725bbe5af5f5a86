//! What can happen, as the queue is told of it.

use std::sync::Arc;

use super::hosts::Node;
use super::pod::{Grounds, Pod, PodShape, Uid};
use super::settings::{Config, PoolConfig};
use super::time::Time;

/// Something that happened. The order in which different objects are told of does not matter: a pod may
/// name a pool or a node that becomes known later.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A pod that asked for admission is there, or changed.
    Pod(Pod),
    /// A pod that nobody manages is bound to a node: what it holds is not divided.
    Unmanaged {
        /// The pod.
        uid: Uid,
        /// Its node.
        node: Arc<str>,
        /// What it holds.
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
    /// Since when a pool has been above its entitlement, as an earlier leader said in [`crate::Decision::Over`].
    /// Tell it in the step in which the pools and pods become known: a step that finds nobody who waits for
    /// what the pool uses ends the time.
    OverSince {
        /// The pool.
        pool: String,
        /// The dimension.
        dim: String,
        /// Since when.
        since: Time,
    },
    /// The API server refused an eviction.
    EvictionRefused(Uid),
    /// The scheduler bound a pod, or said why it cannot.
    SchedulerProgress,
    /// It did so at this moment, perhaps before this queue was there.
    SchedulerWorked(Time),
    /// Time went by.
    Tick,
}

/// A disruption budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Namespace and name.
    pub name: String,
    /// How many of its pods may be evicted now.
    pub allowed: u32,
    /// Its pods.
    pub pods: Vec<Uid>,
}

/// The record of rounds that an earlier leader left (B5a).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Whose admission was decided.
    pub admitted: Vec<Recorded>,
    /// What was claimed.
    pub claims: Vec<RecordedClaim>,
    /// Who was about to be evicted, for a claimant or without one.
    pub victims: Vec<Uid>,
}

/// A pod whose admission was decided and recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The pod.
    pub uid: Uid,
    /// The node that was thought of, if any.
    pub node: Option<String>,
    /// On what grounds.
    pub grounds: Grounds,
}

/// A claim that was decided and recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedClaim {
    /// The pods that it is for.
    pub claimant: Vec<Uid>,
    /// The nodes, one for each pod of the claimant; empty for a claim on quota alone.
    pub nodes: Vec<String>,
    /// The pods that make room.
    pub victims: Vec<Uid>,
}
