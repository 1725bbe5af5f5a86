//! Loans (B9): what nobody is entitled to and nobody can use now is lent, so that nothing stands still.
//!
//! Two gangs that each need 64 of 100 GPUs are each entitled to 50 for ever. When all that B3 allows is
//! admitted and something that waits fits what is free, it goes on loan: preemptible only, within every
//! limit, in the order least (usage ÷ capacity) ÷ share, longest wait, name. A loan is never given out of a
//! claim, which the node model has taken already, never where somebody who is entitled waits for victims, and
//! it is the first to be taken back.

use std::collections::{BTreeSet, HashMap};

use weir_model::{Amount, Dim, PoolId};

use crate::Time;
use crate::admit::{Candidate, Refused};
use crate::fair_order::DominantShare;
use crate::pod::Grounds;
use crate::queues::{QueueKey, Workload};
use crate::refusal::Refusal;
use crate::settings::Strategy;
use crate::shapes::RequestId;
use crate::state::Queue;

/// Somebody who might go on loan, in the order in which they are asked.
type Borrower = (DominantShare, Time, PoolId, QueueKey, RequestId);

impl Queue {
    /// Lends what is left to those that entitlements alone hold back; `wanted` are the dimensions in which
    /// somebody entitled waits for a plan.
    pub(crate) fn lend(&mut self, refused: &[Refused], wanted: &[Dim]) {
        let mut borrowers: BTreeSet<Borrower> = BTreeSet::new();
        // Room only shrinks while things are lent: what finds none now is not asked about leaf by leaf.
        let mut fits: HashMap<RequestId, bool> = HashMap::new();
        for (leaf, request) in self.may_borrow(refused) {
            let keeps_off = self.shapes.request_of(request).amounts.iter().any(|(dim, _)| wanted.contains(&dim));
            if !keeps_off && *fits.entry(request).or_insert_with(|| self.may_fit(request)) {
                self.add_borrower(leaf, request, &mut borrowers);
            }
        }
        while let Some((_, _, leaf, key, request)) = borrowers.pop_first() {
            let candidate = Candidate { leaf, request, priority: None };
            let Some(queued) = self.queued(leaf, request, &key) else { continue };
            if !self.within_limits(candidate) || !self.leaves_claims(candidate, queued.workload) {
                continue;
            }
            let Ok(nodes) = self.find_nodes(request) else { continue };
            self.admit(candidate, queued.workload, &nodes, Grounds::OnLoan, None);
            self.add_borrower(leaf, request, &mut borrowers);
        }
    }

    /// Whether a request might find room now. Of several shapes one takes the other's place, so only trying tells.
    fn may_fit(&mut self, request: RequestId) -> bool {
        self.shapes.request_of(request).members.len() > 1 || self.find_nodes(request).is_ok()
    }

    /// Preemptible requests that quota alone holds back. Where nobody may pass the head, only the head.
    fn may_borrow(&self, refused: &[Refused]) -> Vec<(PoolId, RequestId)> {
        let short = |refused: &&Refused| {
            let quota =
                matches!(refused.refusal, Refusal::Quota { .. } | Refusal::Entitlement { .. } | Refusal::Behind { .. });
            quota && self.shapes.request_of(refused.request).preemptible
        };
        let claimed = |leaf: PoolId| {
            self.claims.iter().find(|claim| {
                claim.victims.is_empty() && self.stands(claim.workload).is_some_and(|(at, _, _)| at == leaf)
            })
        };
        let first = |refused: &&Refused| match (self.pools.settings(refused.leaf).strategy, claimed(refused.leaf)) {
            (_, Some(claim)) => claim.request == refused.request,
            (Strategy::Strict, None) => !matches!(refused.refusal, Refusal::Behind { .. }),
            (Strategy::BestEffort, None) => true,
        };
        refused.iter().filter(short).filter(first).map(|refused| (refused.leaf, refused.request)).collect()
    }

    fn add_borrower(&self, leaf: PoolId, request: RequestId, borrowers: &mut BTreeSet<Borrower>) {
        let Some(dominant_share) = self.loan_share(leaf, request) else { return };
        let first =
            self.leaf_queues[leaf.index()].buckets.get(&request).and_then(|bucket| bucket.order.first_key_value());
        if let Some((&key, queued)) = first {
            borrowers.insert((dominant_share, queued.since, leaf, key, request));
        }
    }

    /// (usage ÷ capacity) ÷ share, the largest over what is asked for; `None` where the share is 0.
    fn loan_share(&self, leaf: PoolId, request: RequestId) -> Option<DominantShare> {
        let mut largest = DominantShare::ZERO;
        for (dim, _) in self.shapes.request_of(request).amounts.iter().filter(|&(dim, _)| self.pools.checks(leaf, dim))
        {
            let share = self.pools.tree.spec(leaf, dim, &self.dims).share;
            if share == 0 {
                return None;
            }
            let capacity = i128::from(self.nodes.capacity(dim).units()) * i128::from(share);
            largest = largest.max(DominantShare::new(self.ledger.usage.exact(leaf, dim), capacity));
        }
        Some(largest)
    }

    /// Whether every claim of somebody else, where this loan would count too, keeps the quota that it holds.
    /// Without this an eviction would free quota for the next loan instead of for the claimant. What a leaf is
    /// lent beyond its own entitlement does not count above it, except against a limit, where all that stays does.
    fn leaves_claims(&self, Candidate { leaf, request, .. }: Candidate, workload: Workload) -> bool {
        let own = self.claims.iter().find(|claim| claim.workload == workload);
        self.pools.tree.path(leaf).all(|pool| {
            self.shapes.request_of(request).amounts.iter().filter(|&(dim, _)| self.pools.checks(pool, dim)).all(
                |(dim, asked)| {
                    let own = own.map_or(0, |claim| claim.claimed_in(pool, dim));
                    let claimed = self.ledger.claimed.exact(pool, dim) - own;
                    if claimed <= 0 {
                        return true;
                    }
                    let counts = if pool == leaf { asked } else { asked.min(self.unused(leaf, dim)) };
                    let over_entitlement = self.ledger.over_entitlement.below(&self.pools, pool, dim);
                    let used = self.ledger.usage.exact(pool, dim) - over_entitlement + i128::from(counts.units());
                    let stays = self.staying(pool, dim) + i128::from(asked.units());
                    let within = |all: i128, bound: Amount| all + claimed <= i128::from(bound.units());
                    within(used, self.pools.entitled(pool, dim)) && within(stays, self.pools.cap(pool, dim))
                },
            )
        })
    }

    fn within_limits(&self, Candidate { leaf, request, .. }: Candidate) -> bool {
        self.pools.tree.path(leaf).filter(|&pool| pool != PoolId::ROOT).all(|pool| {
            self.shapes.request_of(request).amounts.iter().all(|(dim, asked)| {
                let used = self.ledger.usage.exact(pool, dim);
                used + i128::from(asked.units()) <= i128::from(self.pools.cap(pool, dim).units())
            })
        })
    }
}
