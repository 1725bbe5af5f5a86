//! What numbers alone said of the buckets of each leaf, kept from one round to the next.
//!
//! An answer depends on what stands in the leaf and, pool by pool upwards, on what is used, held and
//! entitled there, up to the pool that said no. Where none of that changed the answer is the same; after one
//! change that is nearly everywhere so. What time alone can change, a head's patience, is not kept here.

use std::collections::BTreeMap;

use weir_model::{Amount, Dimensions, PoolId};

use crate::admit::{Candidate, Open, Refused};
use crate::ledger::Ledger;
use crate::pools::Pools;
use crate::queues::{QueueKey, Workload};
use crate::refusal::Refusal;
use crate::shapes::RequestId;
use crate::state::Queue;

/// The first of those in a leaf that may go at all, and why numbers say no to it, if they do.
pub(crate) type Head = (QueueKey, RequestId, Option<Refusal>);

/// What was found when a leaf was opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opened {
    /// The heads of the buckets that numbers do not stop.
    pub(crate) open: Open,
    /// The buckets that something stops.
    pub(crate) refused: Vec<Refused>,
    pub(crate) head: Option<Head>,
    /// Who had a claim and was left out.
    claimed: Vec<Workload>,
    /// On how many pools the answers depend, from the leaf upwards.
    reach: usize,
}

/// All that numbers are judged by in one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Basis {
    sums: [Vec<i128>; 4],
    entitled: Vec<Amount>,
}

/// The answers of the last round, and what they were made of.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    /// By pool.
    basis: Vec<Basis>,
    /// By leaf.
    opened: Vec<Option<Opened>>,
}

impl Verdicts {
    /// Forgets on what the answers were based, because that changed while they were given.
    pub(crate) fn invalidate(&mut self) {
        self.basis.clear();
    }

    /// Takes down what answers are based on from now on, and says in which pools it is new.
    fn renew(&mut self, pools: &Pools, ledger: &Ledger, dims: &Dimensions) -> Vec<bool> {
        let count = pools.tree.len();
        if self.basis.len() != count {
            self.basis = vec![Basis::default(); count];
            self.opened = vec![None; count];
        }
        let Ledger { usage, non_preemptible, claimed, over_entitlement, terminating: _, demand: _ } = ledger;
        let mut changed = Vec::with_capacity(count);
        for (pool, Basis { sums, entitled }) in pools.tree.iter().zip(&mut self.basis) {
            let mut new = false;
            for (known, row) in sums.iter_mut().zip([
                usage.row(pool),
                non_preemptible.row(pool),
                claimed.row(pool),
                over_entitlement.row(pool),
            ]) {
                if known != row {
                    new = true;
                    *known = row.to_vec();
                }
            }
            if !dims.iter().map(|dim| pools.entitled(pool, dim)).eq(entitled.iter().copied()) {
                new = true;
                *entitled = dims.iter().map(|dim| pools.entitled(pool, dim)).collect();
            }
            changed.push(new);
        }
        changed
    }
}

impl Queue {
    /// What numbers say of every leaf in which somebody waits.
    pub(crate) fn open_leaves(&mut self) -> Vec<PoolId> {
        let mut verdicts = std::mem::take(&mut self.verdicts);
        let changed = verdicts.renew(&self.pools, &self.ledger, &self.dims);
        let claimed = self.claimed();
        let tree = &self.pools.tree;
        let waits = |leaf: &PoolId| !self.eligible.alone[leaf.index()].is_empty();
        let leaves: Vec<PoolId> = tree.iter().filter(waits).collect();
        for &leaf in &leaves {
            let claimed = claimed.get(&leaf).map_or(&[][..], Vec::as_slice);
            let same = |opened: &&mut Opened| {
                let touched = self.eligible.judged.contains(&leaf) || self.eligible.stale.contains(&leaf);
                let moved = || tree.path(leaf).take(opened.reach).any(|pool| changed[pool.index()]);
                !touched && opened.claimed == claimed && !moved()
            };
            let known = &mut verdicts.opened[leaf.index()];
            match known.as_mut().filter(same) {
                Some(opened) => opened.refused.iter_mut().for_each(|refused| refused.again = claimed.is_empty()),
                None => *known = Some(self.open_leaf(leaf, claimed)),
            }
        }
        self.verdicts = verdicts;
        leaves
    }

    /// What was found in a leaf.
    pub(crate) fn opened(&self, leaf: PoolId) -> Option<&Opened> {
        self.verdicts.opened.get(leaf.index())?.as_ref()
    }

    /// Finds the buckets of a leaf that numbers alone do not stop; in a full cluster these are few.
    fn open_leaf(&self, leaf: PoolId, claimed: &[Workload]) -> Opened {
        let mut opened = Opened { claimed: claimed.to_vec(), ..Opened::default() };
        for &(request, verdict) in &self.eligible.alone[leaf.index()] {
            if let Err(refusal) = verdict {
                opened.refused.push(Refused { leaf, request, refusal, again: false });
                continue;
            }
            let Some(bucket) = self.leaf_queues[leaf.index()].buckets.get(&request) else { continue };
            let mut free = bucket.order.iter().filter(|(_, queued)| !claimed.contains(&queued.workload));
            let Some((&key, _)) = free.next() else { continue };
            let no = self.numbers_allow(Candidate { leaf, request, priority: None }).err();
            opened.reach = opened.reach.max(self.reach(leaf, no));
            match no {
                Some(refusal) => opened.refused.push(Refused { leaf, request, refusal, again: false }),
                None => drop(opened.open.insert(key, request)),
            }
            if opened.head.is_none_or(|(first, _, _)| key < first) {
                opened.head = Some((key, request, no));
            }
        }
        opened
    }

    /// On how many pools an answer depends: pools are asked from the leaf upwards, and entitlements first.
    fn reach(&self, leaf: PoolId, no: Option<Refusal>) -> usize {
        let tree = &self.pools.tree;
        let last = match no {
            Some(Refusal::Quota { pool, .. } | Refusal::Entitlement { pool, .. }) => pool,
            _ => PoolId::ROOT,
        };
        1 + tree.depth(leaf) - tree.depth(last)
    }

    /// Who has a claim, by leaf.
    fn claimed(&self) -> BTreeMap<PoolId, Vec<Workload>> {
        let mut claimed: BTreeMap<PoolId, Vec<Workload>> = BTreeMap::new();
        for claim in &self.claims {
            if let Some((leaf, _, _)) = self.stands(claim.workload) {
                claimed.entry(leaf).or_default().push(claim.workload);
            }
        }
        claimed
    }

    /// Forgets all that is only remembered to be quick; the next step finds it out again. Decisions do not
    /// depend on it.
    pub fn forget_verdicts(&mut self) {
        self.verdicts = Verdicts::default();
        self.eligible = crate::eligibility::Eligible::default();
        self.fit_index = crate::fit::FitIndex::default();
    }
}
