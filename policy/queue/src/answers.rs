//! What numbers alone said of the buckets of each leaf, kept from one round to the next.
//!
//! An answer depends on what stands in the leaf and, pool by pool upwards, on what is used, held and
//! entitled there, up to the pool that said no. Where none of that changed the answer is the same; after one
//! change that is nearly everywhere so. What time alone can change, a head's patience, is not kept here.

use std::collections::BTreeMap;

use weir_model::{Amount, Dimensions, PoolId};

use crate::admit::{Blocked, Case, Open};
use crate::ledger::Ledger;
use crate::order::{Place, Unit};
use crate::pools::Pools;
use crate::shape::AskId;
use crate::state::Queue;
use crate::why::Why;

/// The first of those in a leaf that may go at all, and why numbers say no to it, if they do.
pub(crate) type Head = (Place, AskId, Option<Why>);

/// What was found when a leaf was opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opened {
    /// The heads of the buckets that numbers do not stop.
    pub(crate) open: Open,
    /// The buckets that something stops.
    pub(crate) blocked: Vec<Blocked>,
    pub(crate) head: Option<Head>,
    /// Who had a claim and was left out.
    claimed: Vec<Unit>,
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
pub(crate) struct Answers {
    /// By pool.
    basis: Vec<Basis>,
    /// By leaf.
    opened: Vec<Option<Opened>>,
}

impl Answers {
    /// Forgets on what the answers were based, because that changed while they were given.
    pub(crate) fn doubt(&mut self) {
        self.basis.clear();
    }

    /// Takes down what answers are based on from now on, and says in which pools it is new.
    fn renew(&mut self, pools: &Pools, ledger: &Ledger, dims: &Dimensions) -> Vec<bool> {
        let count = pools.tree.len();
        if self.basis.len() != count {
            self.basis = vec![Basis::default(); count];
            self.opened = vec![None; count];
        }
        let Ledger { usage, fixed, held, beyond, leaving: _, demand: _ } = ledger;
        let mut changed = Vec::with_capacity(count);
        for (pool, Basis { sums, entitled }) in pools.tree.iter().zip(&mut self.basis) {
            let mut new = false;
            for (known, row) in
                sums.iter_mut().zip([usage.row(pool), fixed.row(pool), held.row(pool), beyond.row(pool)])
            {
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
        let mut answers = std::mem::take(&mut self.answers);
        let changed = answers.renew(&self.pools, &self.ledger, &self.dims);
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
            let known = &mut answers.opened[leaf.index()];
            match known.as_mut().filter(same) {
                Some(opened) => opened.blocked.iter_mut().for_each(|blocked| blocked.again = claimed.is_empty()),
                None => *known = Some(self.open_leaf(leaf, claimed)),
            }
        }
        self.answers = answers;
        leaves
    }

    /// What was found in a leaf.
    pub(crate) fn opened(&self, leaf: PoolId) -> Option<&Opened> {
        self.answers.opened.get(leaf.index())?.as_ref()
    }

    /// Finds the buckets of a leaf that numbers alone do not stop; in a full cluster these are few.
    fn open_leaf(&self, leaf: PoolId, claimed: &[Unit]) -> Opened {
        let mut opened = Opened { claimed: claimed.to_vec(), ..Opened::default() };
        for &(ask, answer) in &self.eligible.alone[leaf.index()] {
            if let Err(why) = answer {
                opened.blocked.push(Blocked { leaf, ask, why, again: false });
                continue;
            }
            let Some(bucket) = self.lines[leaf.index()].buckets.get(&ask) else { continue };
            let mut free = bucket.order.iter().filter(|(_, entry)| !claimed.contains(&entry.unit));
            let Some((&place, _)) = free.next() else { continue };
            let no = self.numbers_allow(Case { leaf, ask, priority: None }).err();
            opened.reach = opened.reach.max(self.reach(leaf, no));
            match no {
                Some(why) => opened.blocked.push(Blocked { leaf, ask, why, again: false }),
                None => drop(opened.open.insert(place, ask)),
            }
            if opened.head.is_none_or(|(first, _, _)| place < first) {
                opened.head = Some((place, ask, no));
            }
        }
        opened
    }

    /// On how many pools an answer depends: pools are asked from the leaf upwards, and entitlements first.
    fn reach(&self, leaf: PoolId, no: Option<Why>) -> usize {
        let tree = &self.pools.tree;
        let last = match no {
            Some(Why::Quota { pool, .. } | Why::Entitlement { pool, .. }) => pool,
            _ => PoolId::ROOT,
        };
        1 + tree.depth(leaf) - tree.depth(last)
    }

    /// Who has a claim, by leaf.
    fn claimed(&self) -> BTreeMap<PoolId, Vec<Unit>> {
        let mut claimed: BTreeMap<PoolId, Vec<Unit>> = BTreeMap::new();
        for claim in &self.claims {
            if let Some((leaf, _, _)) = self.stands(claim.unit) {
                claimed.entry(leaf).or_default().push(claim.unit);
            }
        }
        claimed
    }

    /// Forgets all that is only remembered to be quick; the next step finds it out again. Decisions do not
    /// depend on it.
    pub fn forget_answers(&mut self) {
        self.answers = Answers::default();
        self.eligible = crate::eligibility::Eligible::default();
        self.places = crate::place::Places::default();
    }
}
