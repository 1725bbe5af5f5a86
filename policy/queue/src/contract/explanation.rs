//! Why a pod waits, or why it may go: numbers, and the one sentence that is made of them.
//!
//! This text stands in the pod's condition, in `kubectl weir explain` and on the page. It names the field to
//! change where there is one, and it never claims more than the numbers say.

use std::fmt;

use weir_model::Amount;
use weir_model::reason::Waiting;

use super::pod::Uid;

/// A pool as it is written in sentences: its name, or "the cluster" for the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolName(pub String);

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { write!(f, "the cluster") } else { write!(f, "pool {:?}", self.0) }
    }
}

/// Why a pod waits, in numbers. Amounts are in base units of the dimension that stands beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// There is quota for it, but others use it now.
    Quota {
        /// The pool, or the ancestor, that has too little left.
        pool: PoolName,
        /// The dimension.
        dim: String,
        /// What the pod or gang asks for.
        asked: Amount,
        /// What the pool uses.
        used: Amount,
        /// What others who wait longer have a claim on.
        claimed: Amount,
        /// What the pool is entitled to now.
        entitled: Amount,
    },
    /// It asks for more than its pool is entitled to as long as others ask too.
    Entitlement {
        /// The pool, or the ancestor.
        pool: PoolName,
        /// The dimension.
        dim: String,
        /// What the pod or gang asks for.
        asked: Amount,
        /// What the pool is entitled to now.
        entitled: Amount,
    },
    /// Non-preemptible pods may not exceed the reservation, and others hold it now.
    Reserved {
        /// The pool, or the ancestor, that reserves too little.
        pool: PoolName,
        /// The dimension.
        dim: String,
        /// What the pod or gang asks for.
        asked: Amount,
        /// What non-preemptible pods use.
        used: Amount,
        /// The smaller of the reservation and the entitlement.
        reserved: Amount,
    },
    /// It is not preemptible and asks for more than is reserved.
    Reservation {
        /// The pool, or the ancestor.
        pool: PoolName,
        /// The dimension.
        dim: String,
        /// What the pod or gang asks for.
        asked: Amount,
        /// What the pool reserves.
        reserved: Amount,
    },
    /// It asks for more than the limit; it can never be admitted as it is.
    Limit {
        /// The pool, or the ancestor.
        pool: PoolName,
        /// The dimension.
        dim: String,
        /// What the pod or gang asks for.
        asked: Amount,
        /// The limit, or with share 0 the reservation.
        limit: Amount,
    },
    /// It is larger than its pool takes in one piece.
    MaxWorkload {
        /// The pool.
        pool: PoolName,
        /// The dimension.
        dim: String,
        /// What the pod or gang asks for.
        asked: Amount,
        /// The largest pod or gang that the pool takes.
        largest: Amount,
    },
    /// There is quota, but no room on nodes that it may run on.
    Placement {
        /// How many of its pods fit now.
        fit: u32,
        /// How many pods there are.
        of: u32,
    },
    /// Even an empty cluster has no room for it.
    NeverPlaced {
        /// How many of its pods would fit.
        fit: u32,
        /// How many pods there are.
        of: u32,
    },
    /// Its place is being made: pods above their pools' entitlements are being evicted.
    Preemption {
        /// How many pods still have to go.
        victims: u32,
    },
    /// Somebody else in its pool goes first.
    Behind {
        /// The pool.
        pool: PoolName,
        /// The head of the queue.
        head: Uid,
    },
    /// Not all members are there.
    Gang {
        /// How many members there are.
        created: u32,
        /// How many the gang announces.
        size: u32,
    },
    /// The gang that it would rejoin is being evicted.
    GangLeaving {
        /// How many of its pods still have to go.
        left: u32,
    },
    /// What says how large its gang is cannot be asked now.
    GangUnknown {
        /// The sentence.
        what: String,
    },
    /// It is more than its gang needs, and the gang does not have all that it needs yet.
    Elastic {
        /// How many of those that it needs were admitted.
        admitted: u32,
        /// How many it needs.
        size: u32,
    },
    /// A gate that somebody else has to remove.
    OtherGate {
        /// The gate's name.
        gate: String,
    },
    /// No pool has this name.
    PoolNotFound {
        /// The name.
        pool: String,
    },
    /// The pool has children; only leaves hold pods.
    PoolNotLeaf {
        /// The pool.
        pool: PoolName,
    },
    /// The pool or one of its ancestors takes nothing new.
    PoolHeld {
        /// The one whose state says so.
        pool: PoolName,
    },
    /// The pool does not take pods of this namespace.
    PoolNotAllowed {
        /// The namespace.
        namespace: String,
    },
    /// A GPU model that nobody knows.
    UnknownModel {
        /// The model.
        model: String,
    },
    /// Something contradicts itself; the sentence names the field.
    Misconfigured {
        /// The sentence.
        what: String,
    },
    /// Pods of its owner were not placed in time, and the owner backs off.
    BackingOff {
        /// For how many more seconds.
        seconds: u64,
        /// How often its pods were killed.
        times: u32,
    },
}

impl Explanation {
    /// The reason of the condition.
    #[must_use]
    pub const fn reason(&self) -> Waiting {
        match self {
            Self::Quota { .. } | Self::Reserved { .. } | Self::Behind { .. } => Waiting::WaitingForQuota,
            Self::Entitlement { .. } => Waiting::ExceedsEntitlement,
            Self::Reservation { .. } => Waiting::ExceedsReservation,
            Self::Limit { .. } | Self::MaxWorkload { .. } => Waiting::ExceedsMaxQuota,
            Self::Placement { .. } | Self::NeverPlaced { .. } | Self::OtherGate { .. } => Waiting::WaitingForPlacement,
            Self::Preemption { .. } => Waiting::WaitingForPreemption,
            Self::Gang { .. } | Self::GangLeaving { .. } | Self::GangUnknown { .. } | Self::Elastic { .. } => {
                Waiting::WaitingForGang
            }
            Self::PoolNotFound { .. } => Waiting::PoolNotFound,
            Self::PoolNotLeaf { .. } => Waiting::PoolNotLeaf,
            Self::PoolHeld { .. } => Waiting::PoolHeld,
            Self::PoolNotAllowed { .. } => Waiting::PoolNotAllowed,
            Self::UnknownModel { .. } => Waiting::UnknownModel,
            Self::Misconfigured { .. } => Waiting::Misconfigured,
            Self::BackingOff { times: 0 | 1, .. } => Waiting::PlacementTimeout,
            Self::BackingOff { .. } => Waiting::BackingOff,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quota { pool, dim, asked, used, claimed, entitled } => {
                write!(f, "asks for {asked} {dim}; {pool} uses {used} of {entitled} that it is entitled to now")?;
                if claimed.is_zero() { Ok(()) } else { write!(f, ", and {claimed} are claimed by who waited longer") }
            }
            Self::Entitlement { pool, dim, asked, entitled } => {
                write!(f, "asks for {asked} {dim}; {pool} is entitled to {entitled} as long as others ask for the rest")
            }
            Self::Reserved { pool, dim, asked, used, reserved } => write!(
                f,
                "is not preemptible and asks for {asked} {dim}; {pool} has {used} of {reserved} reserved in use by such pods"
            ),
            Self::Reservation { pool, dim, asked, reserved } => write!(
                f,
                "is not preemptible and asks for {asked} {dim}; {pool} reserves {reserved}: make it preemptible or raise the reservation"
            ),
            Self::Limit { pool, dim, asked, limit } => {
                write!(f, "asks for {asked} {dim}; {pool} may never have more than {limit}")
            }
            Self::MaxWorkload { pool, dim, asked, largest } => {
                write!(f, "asks for {asked} {dim}; {pool} takes no pod or gang above {largest} (maxWorkload)")
            }
            Self::Placement { fit, of } => write!(f, "{fit} of {of} fit on what is free now"),
            Self::NeverPlaced { fit, of } => write!(f, "{fit} of {of} would fit if the usable nodes were empty"),
            Self::Preemption { victims } => write!(f, "its place is being made: {victims} pods still have to go"),
            Self::Behind { pool, head } => write!(f, "waits behind pod {head}, the head of {pool}"),
            Self::Gang { created, size } => write!(f, "{created} of {size} members are there"),
            Self::GangLeaving { left } => write!(f, "its gang is being evicted; {left} pods still have to go"),
            Self::GangUnknown { what } => f.write_str(what),
            Self::Elastic { admitted, size } => {
                write!(
                    f,
                    "is more than its gang needs, which goes first; {admitted} of {size} that it needs are admitted"
                )
            }
            Self::OtherGate { gate } => write!(f, "the scheduling gate {gate:?} has to be removed first"),
            Self::PoolNotFound { pool } => {
                write!(
                    f,
                    "there is no pool {pool:?} that takes part; create it, mend it (its condition Ready) or name another"
                )
            }
            Self::PoolNotLeaf { pool } => write!(f, "{pool} has pools under it; name one of those"),
            Self::PoolHeld { pool } => write!(f, "{pool} takes nothing new (spec.state)"),
            Self::PoolNotAllowed { namespace } => {
                write!(f, "the pool does not take pods of namespace {namespace:?} (spec.namespaceSelector)")
            }
            Self::UnknownModel { model } => {
                write!(f, "GPU model {model:?} is neither in the special-hardware list nor on a node")
            }
            Self::Misconfigured { what } => f.write_str(what),
            Self::BackingOff { seconds, times: 0 | 1 } => {
                write!(f, "the one before was not placed in time; its owner may try again in {seconds} s")
            }
            Self::BackingOff { seconds, times } => {
                write!(f, "{times} times its owner's pods were not placed in time; it may try again in {seconds} s")
            }
        }
    }
}
