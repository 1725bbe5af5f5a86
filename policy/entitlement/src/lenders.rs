//! Lenders: the pools that reserve what another pool has borrowed.
//!
//! Amounts carry no owner, so a rule must say it. What a parent can divide beyond its children's guarantees
//! (step 1) comes from three sources, and step 2 draws on them in this order, step 3 on what is then left:
//!
//! 1. what of the parent's own guarantee none of its children reserve;
//! 2. what the children reserve and do not use, in proportion to it;
//! 3. what the parent itself was lent or got from the spread, whose lenders follow by the same rule one level up.
//!
//! An unused reservation lends only as far as the parent's own guarantee stands behind it: where children
//! reserve more than their parent, or the parent lent it to its own siblings, there is less to lend than is
//! reserved. So nothing is lent twice, and what is lent is what is borrowed, level by level.
//!
//! All borrowers of one parent draw on its sources in the same mixture. Each borrower's lenders add up to what
//! it has borrowed, to the unit; whole numbers can make the sum over borrowers differ from what a lender does
//! not use, by less than a unit for each borrower.

use std::collections::BTreeMap;

use weir_model::{Amount, Dim, PoolId};

use crate::column::Column;
use crate::entitler::Entitlements;
use crate::shape::Terms;

/// The pool that reserves what another pool has borrowed, if any does.
///
/// ```
/// use weir_entitlement::Lender;
/// use weir_model::PoolId;
/// assert!(Lender::Unreserved < Lender::Pool(PoolId::ROOT), "what no pool reserves is lent first");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lender {
    /// No pool reserves it.
    Unreserved,
    /// This pool reserves it and does not use it.
    Pool(PoolId),
}

/// A part of what a pool has borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Borrowing {
    /// The pool that reserves it, if any does.
    pub lender: Lender,
    /// How much it is.
    pub amount: Amount,
}

/// The two steps that hand out more than guarantees.
#[derive(Clone, Copy)]
enum Step {
    /// Step 2.
    Borrow,
    /// Step 3.
    Spread,
}

/// What one step drew from each source of a parent.
struct Drawn {
    unreserved: Amount,
    /// From what its children reserve and do not use.
    siblings: Amount,
    /// From what the parent was lent.
    lent: Amount,
    /// From what the parent got from the spread.
    spread: Amount,
}

impl Entitlements {
    /// The sources of what the pool has borrowed: first what no pool reserves, then the pool's siblings in name
    /// order, then its parent's, and so on; the amounts add up to [`Trace::borrowed`](crate::Trace::borrowed).
    ///
    /// ```
    /// use weir_entitlement::{Borrowing, Input, Lender, entitle};
    /// use weir_model::{Amount, Dimensions, PoolSpec, PoolTree, ResourceSpec};
    /// let mut dims = Dimensions::new();
    /// let gpu = dims.intern("nvidia.com/gpu");
    /// let reserves = |units| ResourceSpec { reservation: Amount::new(units), ..ResourceSpec::unlisted(1) };
    /// let production = PoolSpec { name: "production".into(), parent: None, resources: vec![(gpu, reserves(60))] };
    /// let research = PoolSpec { name: "research".into(), ..PoolSpec::default() };
    /// let (tree, _) = PoolTree::build(vec![production, research], &dims);
    /// let (production, research) = (tree.find("production").unwrap(), tree.find("research").unwrap());
    ///
    /// let mut input = Input::new(&tree);
    /// input.capacity.set(gpu, Amount::new(100));
    /// input.demand.set(research, gpu, Amount::new(50));
    /// let lenders = entitle(&tree, &dims, &input).lenders(research, gpu);
    /// assert_eq!(lenders[0], Borrowing { lender: Lender::Unreserved, amount: Amount::new(40) });
    /// assert_eq!(lenders[1], Borrowing { lender: Lender::Pool(production), amount: Amount::new(10) });
    /// ```
    #[must_use]
    pub fn lenders(&self, pool: PoolId, dim: Dim) -> Vec<Borrowing> {
        let borrowed = self.trace(pool, dim).borrowed;
        let mut lenders = BTreeMap::new();
        if let (Some(column), Some(terms)) = (self.columns.get(dim.index()), self.shape.terms.get(dim.index())) {
            self.attribute(column, terms, pool.index(), borrowed, Step::Borrow, &mut lenders);
        }
        let mut lenders: Vec<_> = lenders.into_iter().map(|(lender, amount)| Borrowing { lender, amount }).collect();
        // Parents stand before their children, so nearer families have later parents.
        let distance = |lender| match lender {
            Lender::Unreserved => usize::MAX,
            Lender::Pool(pool) => self.shape.parent[pool.index()],
        };
        lenders.sort_by_key(|borrowing| std::cmp::Reverse(distance(borrowing.lender)));
        lenders
    }

    /// Adds to `lenders` where `amount` comes from, which `step` gave to `pool`.
    fn attribute(
        &self,
        column: &Column,
        terms: &[Terms],
        pool: usize,
        amount: Amount,
        step: Step,
        lenders: &mut BTreeMap<Lender, Amount>,
    ) {
        if amount.is_zero() || pool == 0 {
            return;
        }
        let parent = self.shape.parent[pool];
        let siblings = self.shape.children[parent].clone();
        let Drawn { unreserved, siblings: from_siblings, lent, spread } = self.drawn(column, terms, parent, step);
        let parts = apportion(amount, &[unreserved, from_siblings, lent, spread]);
        add(lenders, Lender::Unreserved, parts[0]);
        let idle: Vec<_> = siblings.clone().map(|sibling| idle(column, terms, sibling)).collect();
        for (sibling, amount) in siblings.zip(apportion(parts[1], &idle)) {
            add(lenders, Lender::Pool(self.shape.ids[sibling]), amount);
        }
        self.attribute(column, terms, parent, parts[2], Step::Borrow, lenders);
        self.attribute(column, terms, parent, parts[3], Step::Spread, lenders);
    }

    /// What a step drew from each source of `parent`, for all its children together.
    fn drawn(&self, column: &Column, terms: &[Terms], parent: usize, step: Step) -> Drawn {
        let children = self.shape.children[parent].clone();
        let sum = |amount: &dyn Fn(usize) -> Amount| children.clone().map(amount).sum::<Amount>();
        let reserved = sum(&|child| terms[child].reservation);
        let guaranteed = sum(&|child| column.guaranteed[child]);
        let own = column.guaranteed[parent];
        let backed = own.minus(guaranteed);
        let lent = column.borrowed[parent];
        let unreserved = own.minus(reserved).min(backed);
        let sources = [unreserved, backed.minus(unreserved), lent, spread(column, parent)];
        let borrowed = sum(&|child| column.borrowed[child]);
        let (first, rest) = draw(borrowed, sources);
        let [unreserved, siblings, lent, spread] = match step {
            Step::Borrow => first,
            Step::Spread => draw(sum(&|child| spread(column, child)), rest).0,
        };
        Drawn { unreserved, siblings, lent, spread }
    }
}

/// Takes `amount` from the sources in their order; gives what was taken and what is left of each.
fn draw(amount: Amount, sources: [Amount; 4]) -> ([Amount; 4], [Amount; 4]) {
    let mut missing = amount;
    let taken = sources.map(|source| {
        let part = source.min(missing);
        missing = missing.minus(part);
        part
    });
    let mut left = sources;
    left.iter_mut().zip(taken).for_each(|(source, part)| *source = source.minus(part));
    (taken, left)
}

/// What a pool reserves and step 1 did not give it.
fn idle(column: &Column, terms: &[Terms], pool: usize) -> Amount {
    terms[pool].reservation.minus(column.guaranteed[pool])
}

fn spread(column: &Column, pool: usize) -> Amount {
    column.entitlement[pool].minus(column.guaranteed[pool] + column.borrowed[pool])
}

fn add(lenders: &mut BTreeMap<Lender, Amount>, lender: Lender, amount: Amount) {
    if !amount.is_zero() {
        *lenders.entry(lender).or_default() += amount;
    }
}

/// Splits `amount` in proportion to `weights`, to the unit, by largest remainder and then position.
fn apportion(amount: Amount, weights: &[Amount]) -> Vec<Amount> {
    let units = |amount: Amount| u128::from(amount.units().unsigned_abs());
    let total: u128 = weights.iter().copied().map(units).sum();
    if total == 0 {
        return vec![Amount::ZERO; weights.len()];
    }
    let exact = |weight| units(amount) * units(weight);
    let mut parts: Vec<_> =
        weights.iter().map(|&weight| Amount::new(i64::try_from(exact(weight) / total).unwrap_or(i64::MAX))).collect();
    let mut spare = amount.minus(parts.iter().copied().sum());
    let mut order: Vec<_> = (0..weights.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(exact(weights[at]) % total));
    for at in order {
        if spare.is_zero() {
            break;
        }
        parts[at] += Amount::new(1);
        spare = spare.minus(Amount::new(1));
    }
    parts
}
