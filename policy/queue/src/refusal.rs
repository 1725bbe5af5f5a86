//! Why a request is not admitted, and what its pods are told of it.

use weir_model::{Amount, Dim, PoolId};

use crate::explanation::Explanation;
use crate::fit::Shortfall;
use crate::pod::Uid;
use crate::state::Queue;
use weir_model::reason::Waiting;

/// Why a request is not admitted, small enough to be made for every bucket of every round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
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

impl Refusal {
    /// The word for it.
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

impl Queue {
    /// The numbers of a no, with names.
    pub(crate) fn explain_refusal(&self, refusal: Refusal) -> Explanation {
        let (named, name) = (|pool| self.pools.named(pool), |dim| self.dims.name(dim).to_owned());
        match refusal {
            Refusal::Held { pool } => Explanation::PoolHeld { pool: named(pool) },
            Refusal::MaxWorkload { pool, dim, asked, largest } => {
                Explanation::MaxWorkload { pool: named(pool), dim: name(dim), asked, largest }
            }
            Refusal::Limit { pool, dim, asked, limit } => {
                Explanation::Limit { pool: named(pool), dim: name(dim), asked, limit }
            }
            Refusal::Reservation { pool, dim, asked, reserved } => {
                Explanation::Reservation { pool: named(pool), dim: name(dim), asked, reserved }
            }
            Refusal::Never(Shortfall { fit, of }) => Explanation::NeverPlaced { fit, of },
            Refusal::Quota { pool, dim, asked, used, claimed, entitled } => {
                Explanation::Quota { pool: named(pool), dim: name(dim), asked, used, claimed, entitled }
            }
            Refusal::Entitlement { pool, dim, asked, entitled } => {
                Explanation::Entitlement { pool: named(pool), dim: name(dim), asked, entitled }
            }
            Refusal::Reserved { pool, dim, asked, used, reserved } => {
                Explanation::Reserved { pool: named(pool), dim: name(dim), asked, used, reserved }
            }
            Refusal::Placement(Shortfall { fit, of }) => Explanation::Placement { fit, of },
            Refusal::Behind { pool, head } => Explanation::Behind { pool: named(pool), head },
        }
    }

    /// Why a pod waits, in the numbers of the last step; `None` if it does not wait.
    #[must_use]
    pub fn explain(&self, uid: Uid) -> Option<Explanation> {
        self.explain_pod(self.pods.find(uid)?)
    }

    pub(crate) fn explain_pod(&self, pod: u32) -> Option<Explanation> {
        let record = self.pods.record(pod).filter(|record| record.waits())?;
        let workload = self.workload_of(pod);
        let stands =
            self.stands(workload).filter(|_| record.request.is_some() || self.members(workload).contains(&pod));
        let Some((leaf, request, _)) = stands else { return self.inadmissible(pod) };
        if let Some(claim) = self.claims.iter().find(|claim| claim.workload == workload && !claim.victims.is_empty()) {
            return Some(Explanation::Preemption { victims: self.to_go(claim) });
        }
        let bucket = self.leaf_queues[leaf.index()].buckets.get(&request)?;
        bucket.refusal.map(|refusal| self.explain_refusal(refusal))
    }
}
