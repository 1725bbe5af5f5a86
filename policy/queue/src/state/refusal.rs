//! Why a request is not admitted, in numbers and ids.

use weir_model::reason::Waiting;
use weir_model::{Amount, Dim, PoolId};

use super::fit::Shortfall;
use super::ids::RequestId;
use crate::contract::pod::Uid;

/// Why a request is not admitted, small enough to be made for every bucket of every round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The pool or an ancestor takes nothing new.
    Held { pool: PoolId },
    /// The request is larger than the pool takes in one piece.
    MaxWorkload { pool: PoolId, dim: Dim, asked: Amount, largest: Amount },
    /// The request is larger than the limit.
    Limit { pool: PoolId, dim: Dim, asked: Amount, limit: Amount },
    /// The request is non-preemptible and larger than the reservation.
    Reservation { pool: PoolId, dim: Dim, asked: Amount, reserved: Amount },
    /// Even the empty cluster has no room.
    Never(Shortfall),
    /// Others use the quota now.
    Quota { pool: PoolId, dim: Dim, asked: Amount, used: Amount, claimed: Amount, entitled: Amount },
    /// The request is larger than the entitlement.
    Entitlement { pool: PoolId, dim: Dim, asked: Amount, entitled: Amount },
    /// Other non-preemptible pods use the reservation now.
    Reserved { pool: PoolId, dim: Dim, asked: Amount, used: Amount, reserved: Amount },
    /// No nodes have room now.
    Placement(Shortfall),
    /// The head of a Strict pool goes first.
    Behind { pool: PoolId, head: Uid },
}

impl Refusal {
    /// The reason of the condition.
    pub(crate) const fn reason(self) -> Waiting {
        match self {
            Self::Held { .. } => Waiting::PoolHeld,
            Self::MaxWorkload { .. } | Self::Limit { .. } => Waiting::ExceedsMaxQuota,
            Self::Reservation { .. } => Waiting::ExceedsReservation,
            Self::Never(_) | Self::Placement(_) => Waiting::WaitingForPlacement,
            Self::Quota { .. } | Self::Reserved { .. } | Self::Behind { .. } => Waiting::WaitingForQuota,
            Self::Entitlement { .. } => Waiting::ExceedsEntitlement,
        }
    }
}

/// A request that was not admitted in this round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) leaf: PoolId,
    pub(crate) request: RequestId,
    pub(crate) refusal: Refusal,
    /// Whether the last round said the same of all of its bucket, in the same numbers.
    pub(crate) again: bool,
}

impl Refused {
    /// A request that was refused in this round anew.
    pub(crate) const fn new(leaf: PoolId, request: RequestId, refusal: Refusal) -> Self {
        Self { leaf, request, refusal, again: false }
    }
}
