//! Why a pod waits: numbers, and the one sentence that is made of them.
//!
//! This text stands in the pod's condition, in `kubectl weir explain` and on the page. It names the field to
//! change where there is one, and it never claims more than the numbers say.

use std::fmt;

use weir_model::Amount;
use weir_model::reason::Waiting;

use super::pod::Uid;

/// A pool as it is written in sentences: its name, or "the cluster" for the root.
///
/// ```
/// use weir_queue::PoolName;
/// assert_eq!(PoolName("research".into()).to_string(), "pool \"research\"");
/// assert_eq!(PoolName(String::new()).to_string(), "the cluster");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolName(pub String);

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { write!(f, "the cluster") } else { write!(f, "pool {:?}", self.0) }
    }
}

/// Why a pod waits, in numbers. Amounts are in base units of the dimension that stands beside them; its `Display`
/// is the sentence that users see.
///
/// ```
/// use weir_model::Amount;
/// use weir_queue::{Explanation, PoolName};
/// let why = Explanation::Quota {
///     pool: PoolName("research".into()),
///     dim: "nvidia.com/gpu".into(),
///     asked: Amount::new(4),
///     used: Amount::new(6),
///     claimed: Amount::ZERO,
///     entitled: Amount::new(8),
/// };
/// assert_eq!(
///     why.to_string(),
///     "asks for 4 nvidia.com/gpu; pool \"research\" uses 6 of 8 that it is entitled to now",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// The pool has quota for the request, but other pods use it now.
    Quota {
        /// The pool, or the ancestor, that has too little left.
        pool: PoolName,
        /// The dimension.
        dim: String,
        /// What the pod or gang asks for.
        asked: Amount,
        /// What the pool uses.
        used: Amount,
        /// What workloads that wait longer have a claim on.
        claimed: Amount,
        /// What the pool is entitled to now.
        entitled: Amount,
    },
    /// The request is larger than its pool's entitlement, as long as other pools ask too.
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
    /// Non-preemptible pods may not exceed the reservation, and other pods hold it now.
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
    /// The pod is not preemptible and asks for more than is reserved.
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
    /// The request is larger than the limit, and can never be admitted as it is.
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
    /// The request is larger than its pool takes in one piece.
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
    /// The pool has quota, but no nodes that the pod may run on have room.
    Placement {
        /// How many pods of the request fit now.
        fit: u32,
        /// How many pods there are.
        of: u32,
    },
    /// Even an empty cluster has no room for the request.
    NeverPlaced {
        /// How many pods of the request would fit.
        fit: u32,
        /// How many pods there are.
        of: u32,
    },
    /// Room is being made: pods above their pools' entitlements are being evicted.
    Preemption {
        /// How many pods still have to go.
        victims: u32,
    },
    /// The head of a Strict pool goes first.
    Behind {
        /// The pool.
        pool: PoolName,
        /// The head of the queue.
        head: Uid,
    },
    /// Not all members of the gang are there.
    Gang {
        /// How many members there are.
        created: u32,
        /// How many the gang announces.
        size: u32,
    },
    /// The gang that the pod would rejoin is being evicted.
    GangLeaving {
        /// How many of its pods still have to go.
        left: u32,
    },
    /// The object that says how large the gang is cannot be read now.
    GangUnknown {
        /// The sentence.
        what: String,
    },
    /// The pod is more than its gang needs, and the gang does not have all that it needs yet.
    Elastic {
        /// How many members that the gang needs are admitted.
        admitted: u32,
        /// How many the gang needs.
        size: u32,
    },
    /// The pod has another scheduling gate, which another controller has to remove.
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
        /// The pool whose state says so.
        pool: PoolName,
    },
    /// The pool does not take pods of this namespace.
    PoolNotAllowed {
        /// The namespace.
        namespace: String,
    },
    /// The pod names a GPU model that is neither in the list of special hardware nor on a node.
    UnknownModel {
        /// The model.
        model: String,
    },
    /// The pod asks for a resource that no node has and no pool lists.
    UnknownResource {
        /// The name.
        resource: String,
    },
    /// The pod or its gang contradicts itself; the sentence names the field.
    Misconfigured {
        /// The sentence.
        what: String,
    },
    /// The pod was to be admitted, but the API server refuses to remove its gate.
    Refused {
        /// The API server's sentence.
        why: String,
        /// In how many seconds it is tried again.
        seconds: u64,
    },
    /// Pods of the owner were not placed in time, and the owner backs off.
    BackingOff {
        /// For how many more seconds.
        seconds: u64,
        /// How often the owner's pods were killed.
        times: u32,
    },
}

impl Explanation {
    /// The reason of the condition.
    ///
    /// ```
    /// use weir_model::reason::Waiting;
    /// use weir_queue::Explanation;
    /// assert_eq!(Explanation::Gang { created: 3, size: 4 }.reason(), Waiting::WaitingForGang);
    /// ```
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
            Self::UnknownResource { .. } => Waiting::UnknownResource,
            Self::Misconfigured { .. } => Waiting::Misconfigured,
            Self::BackingOff { times: 0 | 1, .. } => Waiting::PlacementTimeout,
            Self::BackingOff { .. } | Self::Refused { .. } => Waiting::BackingOff,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quota { pool, dim, asked, used, claimed, entitled } => {
                write!(f, "asks for {asked} {dim}; {pool} uses {used} of {entitled} that it is entitled to now")?;
                if claimed.is_zero() {
                    Ok(())
                } else {
                    write!(f, ", and {claimed} are claimed by pods that waited longer")
                }
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
            Self::UnknownResource { resource } => {
                write!(f, "asks for {resource:?}, which no node has and no pool lists")
            }
            Self::Misconfigured { what } => f.write_str(what),
            Self::Refused { why, seconds } => {
                write!(f, "the API server refuses to remove the gate ({why}); it is tried again in {seconds} s")
            }
            Self::BackingOff { seconds, times: 0 | 1 } => {
                write!(f, "the one before was not placed in time; its owner may try again in {seconds} s")
            }
            Self::BackingOff { seconds, times } => {
                write!(f, "{times} times its owner's pods were not placed in time; it may try again in {seconds} s")
            }
        }
    }
}
