//! What the watch tells, and what is new by it.

use super::eviction::Eviction;
use super::node::NodeState;
use super::pod::{GangOf, Pod, PodState};
use super::pool::PoolState;
use super::refusal::Refusal;

/// Something that the watch told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node exists, or changed.
    Node(NodeState),
    /// The node of this name is gone.
    NodeGone(String),
    /// A pod exists, or changed.
    Pod(Box<PodState>),
    /// The pod of this key is gone.
    PodGone(String),
    /// A pool exists, or its figures changed.
    Pool(PoolState),
    /// The pool of this name is gone.
    PoolGone(String),
}

/// Something that became true of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The pod.
    pub pod: Pod,
    /// What became true.
    pub what: What,
}

/// What became true of a pod, in the order in which it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was seen for the first time.
    Created,
    /// Its gang has become whole by it.
    MadeWhole(GangOf),
    /// Its gate went.
    Admitted,
    /// The scheduler found no node, for a reason that it had not given before.
    Refused(Refusal),
    /// It was given this node.
    Bound(String),
    /// It succeeded or failed.
    Finished,
    /// It had to go, and went.
    Evicted(Eviction),
    /// It was deleted before it ended, and nothing had said that it has to go.
    Deleted,
}
