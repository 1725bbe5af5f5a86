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
use crate::admit::{Blocked, Case};
use crate::order::{Place, Unit};
use crate::pod::Grounds;
use crate::settings::Strategy;
use crate::shape::AskId;
use crate::state::Queue;
use crate::turn::Ratio;
use crate::why::Why;

/// Somebody who might go on loan, in the order in which they are asked.
type Candidate = (Ratio, Time, PoolId, Place, AskId);

impl Queue {
    /// Lends what is left to those that entitlements alone hold back; `wanted` are the dimensions in which
    /// somebody entitled waits for a plan.
    pub(crate) fn lend(&mut self, blocked: &[Blocked], wanted: &[Dim]) {
        let mut candidates: BTreeSet<Candidate> = BTreeSet::new();
        // Room only shrinks while things are lent: what finds none now is not asked about leaf by leaf.
        let mut fits: HashMap<AskId, bool> = HashMap::new();
        for (leaf, ask) in self.may_borrow(blocked) {
            let keeps_off = self.shapes.ask_of(ask).amounts.iter().any(|(dim, _)| wanted.contains(&dim));
            if !keeps_off && *fits.entry(ask).or_insert_with(|| self.may_fit(ask)) {
                self.candidate(leaf, ask, &mut candidates);
            }
        }
        while let Some((_, _, leaf, place, ask)) = candidates.pop_first() {
            let case = Case { leaf, ask, priority: None };
            let Some(entry) = self.entry(leaf, ask, &place) else { continue };
            if !self.within_limits(case) || !self.leaves_claims(case, entry.unit) {
                continue;
            }
            let Ok(nodes) = self.find_nodes(ask) else { continue };
            self.admit(case, entry.unit, &nodes, Grounds::OnLoan, None);
            self.candidate(leaf, ask, &mut candidates);
        }
    }

    /// Whether an ask might find room now. Of several shapes one takes the other's place, so only trying tells.
    fn may_fit(&mut self, ask: AskId) -> bool {
        self.shapes.ask_of(ask).members.len() > 1 || self.find_nodes(ask).is_ok()
    }

    /// Preemptible asks that quota alone holds back. Where nobody may pass the head, only the head.
    fn may_borrow(&self, blocked: &[Blocked]) -> Vec<(PoolId, AskId)> {
        let short = |blocked: &&Blocked| {
            let quota = matches!(blocked.why, Why::Quota { .. } | Why::Entitlement { .. } | Why::Behind { .. });
            quota && self.shapes.ask_of(blocked.ask).preemptible
        };
        let claimed = |leaf: PoolId| {
            self.claims
                .iter()
                .find(|claim| claim.victims.is_empty() && self.stands(claim.unit).is_some_and(|(at, _, _)| at == leaf))
        };
        let first = |blocked: &&Blocked| match (self.pools.settings(blocked.leaf).strategy, claimed(blocked.leaf)) {
            (_, Some(claim)) => claim.ask == blocked.ask,
            (Strategy::Strict, None) => !matches!(blocked.why, Why::Behind { .. }),
            (Strategy::BestEffort, None) => true,
        };
        blocked.iter().filter(short).filter(first).map(|blocked| (blocked.leaf, blocked.ask)).collect()
    }

    fn candidate(&self, leaf: PoolId, ask: AskId, candidates: &mut BTreeSet<Candidate>) {
        let Some(ratio) = self.loan_ratio(leaf, ask) else { return };
        let first = self.lines[leaf.index()].buckets.get(&ask).and_then(|bucket| bucket.order.first_key_value());
        if let Some((&place, entry)) = first {
            candidates.insert((ratio, entry.since, leaf, place, ask));
        }
    }

    /// (usage ÷ capacity) ÷ share, the largest over what is asked for; `None` where the share is 0.
    fn loan_ratio(&self, leaf: PoolId, ask: AskId) -> Option<Ratio> {
        let mut largest = Ratio::ZERO;
        for (dim, _) in self.shapes.ask_of(ask).amounts.iter().filter(|&(dim, _)| self.pools.checks(leaf, dim)) {
            let share = self.pools.tree.spec(leaf, dim, &self.dims).share;
            if share == 0 {
                return None;
            }
            let capacity = i128::from(self.nodes.capacity(dim).units()) * i128::from(share);
            largest = largest.max(Ratio::new(self.ledger.usage.exact(leaf, dim), capacity));
        }
        Some(largest)
    }

    /// Whether every claim of somebody else, where this loan would count too, keeps the quota that it holds.
    /// Without this an eviction would free quota for the next loan instead of for the claimant. What a leaf is
    /// lent beyond its own entitlement does not count above it, except against a limit, where all that stays does.
    fn leaves_claims(&self, Case { leaf, ask, .. }: Case, unit: Unit) -> bool {
        let own = self.claims.iter().find(|claim| claim.unit == unit);
        self.pools.tree.path(leaf).all(|pool| {
            self.shapes.ask_of(ask).amounts.iter().filter(|&(dim, _)| self.pools.checks(pool, dim)).all(
                |(dim, asked)| {
                    let own = own.map_or(0, |claim| claim.holds(pool, dim));
                    let held = self.ledger.held.exact(pool, dim) - own;
                    if held <= 0 {
                        return true;
                    }
                    let counts = if pool == leaf { asked } else { asked.min(self.unused(leaf, dim)) };
                    let beyond = self.ledger.beyond.below(&self.pools, pool, dim);
                    let used = self.ledger.usage.exact(pool, dim) - beyond + i128::from(counts.units());
                    let stays = self.staying(pool, dim) + i128::from(asked.units());
                    let within = |all: i128, bound: Amount| all + held <= i128::from(bound.units());
                    within(used, self.pools.entitled(pool, dim)) && within(stays, self.pools.cap(pool, dim))
                },
            )
        })
    }

    fn within_limits(&self, Case { leaf, ask, .. }: Case) -> bool {
        self.pools.tree.path(leaf).filter(|&pool| pool != PoolId::ROOT).all(|pool| {
            self.shapes.ask_of(ask).amounts.iter().all(|(dim, asked)| {
                let used = self.ledger.usage.exact(pool, dim);
                used + i128::from(asked.units()) <= i128::from(self.pools.cap(pool, dim).units())
            })
        })
    }
}
