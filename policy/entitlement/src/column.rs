//! The numbers of one dimension: what each pass of the computation reads and writes.
//!
//! A column knows nothing of the rule. It takes what the caller gives and says whether any of it is new, so
//! that a dimension in which no number changed keeps its result.

use weir_model::{Amount, PoolId};

use crate::fraction::Fraction;
use crate::shape::Shape;

/// All numbers of one dimension, pool by pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Column {
    /// What the cluster has to give.
    pub(crate) capacity: Amount,
    /// As given for leaves, the sum of the children for inner pools; so are the next two.
    pub(crate) usage: Vec<Amount>,
    pub(crate) non_preemptible: Vec<Amount>,
    pub(crate) demand: Vec<Amount>,
    /// What the pool may have at most; [`Amount::MAX`] where nothing caps it.
    pub(crate) cap: Vec<Amount>,
    /// What it uses and asks for, of an inner pool within its children's caps.
    pub(crate) requirement: Vec<Amount>,
    /// What it has after steps 0 and 1.
    pub(crate) guaranteed: Vec<Amount>,
    /// What step 2 gave.
    pub(crate) borrowed: Vec<Amount>,
    /// What it has after step 3.
    pub(crate) entitlement: Vec<Amount>,
    /// The pools that cut their children's reservations, by position, with λ.
    pub(crate) scaled: Vec<(usize, Fraction)>,
}

/// What the caller gives of one dimension; a slice is empty where nothing was ever set.
pub(crate) struct Given<'a> {
    pub(crate) capacity: Amount,
    pub(crate) usage: &'a [Amount],
    pub(crate) non_preemptible: &'a [Amount],
    pub(crate) demand: &'a [Amount],
}

impl Column {
    /// Copies what is given, and says whether any of it is new.
    pub(crate) fn take(&mut self, shape: &Shape, given: &Given<'_>) -> bool {
        let fresh = self.entitlement.len() != shape.len();
        if fresh {
            let all = [&mut self.usage, &mut self.non_preemptible, &mut self.demand, &mut self.cap];
            let rest = [&mut self.requirement, &mut self.guaranteed, &mut self.borrowed, &mut self.entitlement];
            all.into_iter().chain(rest).for_each(|amounts| amounts.resize(shape.len(), Amount::ZERO));
        }
        let mut changed = fresh || self.capacity != given.capacity;
        self.capacity = given.capacity;
        for &leaf in &shape.leaves {
            let at = |amounts: &[Amount]| amounts.get(leaf).copied().unwrap_or_default();
            let usage = at(given.usage);
            let new = (usage, at(given.non_preemptible).min(usage), at(given.demand));
            changed |= new != (self.usage[leaf], self.non_preemptible[leaf], self.demand[leaf]);
            (self.usage[leaf], self.non_preemptible[leaf], self.demand[leaf]) = new;
        }
        changed
    }

    pub(crate) fn at(amounts: &[Amount], pool: PoolId) -> Amount {
        amounts.get(pool.index()).copied().unwrap_or_default()
    }
}
