//! Why an ask is not admitted, and what its pods are told of it.

use weir_model::{Amount, Dim, PoolId};

use crate::explain::{Explanation, Reason};
use crate::place::Shortfall;
use crate::pod::Uid;
use crate::state::Queue;

/// Why an ask is not admitted, small enough to be made for every bucket of every round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Held { pool: PoolId },
    MaxWorkload { pool: PoolId, dim: Dim, asked: Amount, largest: Amount },
    Limit { pool: PoolId, dim: Dim, asked: Amount, limit: Amount },
    Reservation { pool: PoolId, dim: Dim, asked: Amount, reserved: Amount },
    Never(Shortfall),
    Quota { pool: PoolId, dim: Dim, asked: Amount, used: Amount, claimed: Amount, entitled: Amount },
    Entitlement { pool: PoolId, dim: Dim, asked: Amount, entitled: Amount },
    Reserved { pool: PoolId, dim: Dim, asked: Amount, used: Amount, reserved: Amount },
    Placement(Shortfall),
    Behind { pool: PoolId, head: Uid },
}

impl Why {
    /// The word for it.
    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::Held { .. } => Reason::PoolHeld,
            Self::MaxWorkload { .. } | Self::Limit { .. } => Reason::ExceedsMaxQuota,
            Self::Reservation { .. } => Reason::ExceedsReservation,
            Self::Never(_) | Self::Placement(_) => Reason::WaitingForPlacement,
            Self::Quota { .. } | Self::Reserved { .. } | Self::Behind { .. } => Reason::WaitingForQuota,
            Self::Entitlement { .. } => Reason::ExceedsEntitlement,
        }
    }
}

impl Queue {
    /// The numbers of a no, with names.
    pub(crate) fn explain_why(&self, why: Why) -> Explanation {
        let (named, name) = (|pool| self.pools.named(pool), |dim| self.dims.name(dim).to_owned());
        match why {
            Why::Held { pool } => Explanation::PoolHeld { pool: named(pool) },
            Why::MaxWorkload { pool, dim, asked, largest } => {
                Explanation::MaxWorkload { pool: named(pool), dim: name(dim), asked, largest }
            }
            Why::Limit { pool, dim, asked, limit } => {
                Explanation::Limit { pool: named(pool), dim: name(dim), asked, limit }
            }
            Why::Reservation { pool, dim, asked, reserved } => {
                Explanation::Reservation { pool: named(pool), dim: name(dim), asked, reserved }
            }
            Why::Never(Shortfall { fit, of }) => Explanation::NeverPlaced { fit, of },
            Why::Quota { pool, dim, asked, used, claimed, entitled } => {
                Explanation::Quota { pool: named(pool), dim: name(dim), asked, used, claimed, entitled }
            }
            Why::Entitlement { pool, dim, asked, entitled } => {
                Explanation::Entitlement { pool: named(pool), dim: name(dim), asked, entitled }
            }
            Why::Reserved { pool, dim, asked, used, reserved } => {
                Explanation::Reserved { pool: named(pool), dim: name(dim), asked, used, reserved }
            }
            Why::Placement(Shortfall { fit, of }) => Explanation::Placement { fit, of },
            Why::Behind { pool, head } => Explanation::Behind { pool: named(pool), head },
        }
    }

    /// Why a pod waits, in the numbers of the last step; `None` if it does not wait.
    #[must_use]
    pub fn explain(&self, uid: Uid) -> Option<Explanation> {
        self.explain_pod(self.pods.find(uid)?)
    }

    pub(crate) fn explain_pod(&self, pod: u32) -> Option<Explanation> {
        let record = self.pods.record(pod).filter(|record| record.waits())?;
        let unit = self.unit_of(pod);
        let stands = self.stands(unit).filter(|_| record.ask.is_some() || self.members(unit).contains(&pod));
        let Some((leaf, ask, _)) = stands else { return self.aside(pod) };
        if let Some(claim) = self.claims.iter().find(|claim| claim.unit == unit && !claim.victims.is_empty()) {
            return Some(Explanation::Preemption { victims: self.to_go(claim) });
        }
        let bucket = self.lines[leaf.index()].buckets.get(&ask)?;
        bucket.why.map(|why| self.explain_why(why))
    }
}
