//! Which demand moves entitlements: what was found out about it, kept until something changes.
//!
//! The rule (A7) is in `round::eligibility`.

use std::collections::BTreeSet;

use weir_model::{Amount, Dim, PoolId, ResourceVec};

use super::ids::RequestId;
use super::refusal::Refusal;
use super::sums::Sums;

/// What counts as demand, and the answer for each bucket.
#[derive(Debug, Default)]
pub(crate) struct EligibleDemand {
    /// By leaf: for each request whether it is eligible by itself, and if not, why.
    pub(crate) alone: Vec<Vec<(RequestId, Result<(), Refusal>)>>,
    /// By leaf: what counts.
    pub(crate) demand: Vec<ResourceVec>,
    /// What all that is eligible by itself asks for, by leaf and summed up over its ancestors.
    pub(crate) wanted: Sums,
    /// The part of `wanted` that is not preemptible.
    pub(crate) non_preemptible: Sums,
    /// By leaf: what the leaf has in the two sums above.
    pub(crate) counted: Vec<Counted>,
    /// The pools below which not all that is wanted counts.
    pub(crate) crowded: Vec<PoolId>,
    /// The state of pools and nodes that the answers hold for.
    pub(crate) basis: Basis,
    /// The leaves of which something changed since the answers were given.
    pub(crate) stale: BTreeSet<PoolId>,
    /// The leaves that were judged anew in this round.
    pub(crate) judged: BTreeSet<PoolId>,
}

/// The requests of a leaf that were counted, each with how many workloads.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) all: Vec<(RequestId, usize)>,
    pub(crate) non_preemptible: Vec<(RequestId, usize)>,
}

/// Generations of what every answer depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Basis {
    pub(crate) pools: u64,
    pub(crate) layout: u64,
    pub(crate) dims: usize,
}

impl EligibleDemand {
    /// No answers yet for so many pools; all these leaves are to be judged.
    pub(crate) fn new(basis: Basis, pools: usize, leaves: impl IntoIterator<Item = PoolId>) -> Self {
        let mut demand = Self { basis, stale: leaves.into_iter().collect(), ..Self::default() };
        demand.alone.resize_with(pools, Vec::new);
        demand.demand.resize_with(pools, ResourceVec::new);
        demand.counted.resize_with(pools, Counted::default);
        demand
    }

    /// The eligible demand of a leaf.
    pub(crate) fn of(&self, leaf: PoolId, dim: Dim) -> Amount {
        self.demand.get(leaf.index()).map_or(Amount::ZERO, |row| row.amount(dim))
    }

    /// The requests of a leaf, each with why it is not eligible by itself, if it is not.
    pub(crate) fn answers(&self, leaf: PoolId) -> &[(RequestId, Result<(), Refusal>)] {
        &self.alone[leaf.index()]
    }

    /// Whether a request of a leaf is eligible by itself.
    pub(crate) fn is_eligible(&self, leaf: PoolId, request: RequestId) -> bool {
        self.answers(leaf).iter().any(|&(known, answer)| known == request && answer.is_ok())
    }
}
