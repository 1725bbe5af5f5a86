//! The trace of an entitlement: the numbers of each step, and what kept it from being more.

use weir_model::{Amount, Dim, PoolId};

use crate::column::Column;
use crate::entitler::Entitlements;

/// What kept an entitlement from being more.
///
/// ```
/// use weir_entitlement::{CappedBy, Input, entitle};
/// use weir_model::{Amount, Dimensions, PoolSpec, PoolTree, ResourceSpec};
/// let mut dims = Dimensions::new();
/// let gpu = dims.intern("nvidia.com/gpu");
/// let limit = ResourceSpec { limit: Some(Amount::new(4)), ..ResourceSpec::unlisted(1) };
/// let labs = PoolSpec { name: "labs".into(), parent: None, resources: vec![(gpu, limit)] };
/// let (tree, _) = PoolTree::build(vec![labs], &dims);
/// let labs = tree.find("labs").unwrap();
/// let mut input = Input::new(&tree);
/// input.capacity.set(gpu, Amount::new(8));
/// input.demand.set(labs, gpu, Amount::new(8));
/// assert_eq!(entitle(&tree, &dims, &input).trace(labs, gpu).capped_by, CappedBy::Limit);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CappedBy {
    /// The pool's own limit.
    Limit,
    /// A share of 0: the pool never has more than its reservation.
    Share,
    /// The caps of the pool's children: more could never be used.
    Children,
    /// The pool has all that it asks for; what it has beyond that is its part of what no pool asks for.
    Requirement,
    /// The pool asks for more, and the pool above has no more to give.
    Parent,
}

/// The numbers behind one entitlement, in the dimension's base unit.
///
/// `non_preemptible + from_reservation + borrowed + spread` is the entitlement, to the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What the pool may use now.
    pub entitlement: Amount,
    /// Step 0: what its non-preemptible pods use, which cannot be taken.
    pub non_preemptible: Amount,
    /// Step 1: what came on top of that out of its reservation. Of the root, all the rest of the capacity.
    pub from_reservation: Amount,
    /// Step 2: what the pool requires beyond that and was lent; [`Entitlements::lenders`] says by which pools.
    pub borrowed: Amount,
    /// Step 3: the pool's part of what no pool asks for.
    pub spread: Amount,
    /// What the pool uses and asks for; of an inner pool, of each child no more than that child's cap.
    pub requirement: Amount,
    /// What the pool may have at most, [`Amount::MAX`] where nothing caps it.
    pub cap: Amount,
    /// The part of an inner pool's entitlement that none of its children could be given, because of their caps
    /// or because they have share 0; of a leaf zero.
    pub undivided: Amount,
    /// What kept the entitlement from being more; of the root always [`CappedBy::Parent`].
    pub capped_by: CappedBy,
}

impl Entitlements {
    /// The numbers behind a pool's entitlement. All zero for a pool or a dimension of another tree.
    ///
    /// ```
    /// use weir_entitlement::{Input, entitle};
    /// use weir_model::{Amount, Dimensions, PoolSpec, PoolTree, ResourceSpec};
    /// let mut dims = Dimensions::new();
    /// let gpu = dims.intern("nvidia.com/gpu");
    /// let six = ResourceSpec { reservation: Amount::new(6), ..ResourceSpec::unlisted(1) };
    /// let labs = PoolSpec { name: "labs".into(), parent: None, resources: vec![(gpu, six)] };
    /// let (tree, _) = PoolTree::build(vec![labs], &dims);
    /// let labs = tree.find("labs").unwrap();
    /// let mut input = Input::new(&tree);
    /// input.capacity.set(gpu, Amount::new(10));
    /// input.demand.set(labs, gpu, Amount::new(7));
    /// let trace = entitle(&tree, &dims, &input).trace(labs, gpu);
    /// assert_eq!([trace.from_reservation, trace.borrowed, trace.spread].map(Amount::units), [6, 1, 3]);
    /// ```
    #[must_use]
    pub fn trace(&self, pool: PoolId, dim: Dim) -> Trace {
        let column = |part: fn(&Column) -> &Vec<Amount>| self.read(pool, dim, part);
        let guaranteed = column(|column| &column.guaranteed);
        let (entitlement, borrowed) = (self.amount(pool, dim), column(|column| &column.borrowed));
        let non_preemptible = column(|column| &column.non_preemptible);
        Trace {
            entitlement,
            non_preemptible,
            from_reservation: guaranteed.minus(non_preemptible),
            borrowed,
            spread: entitlement.minus(guaranteed + borrowed),
            requirement: column(|column| &column.requirement),
            cap: column(|column| &column.cap),
            undivided: self.undivided(pool, dim),
            capped_by: self.capped_by(pool, dim),
        }
    }

    fn undivided(&self, pool: PoolId, dim: Dim) -> Amount {
        let children = self.shape.children.get(pool.index()).cloned().unwrap_or_default();
        let Some(column) = self.columns.get(dim.index()).filter(|_| !children.is_empty()) else {
            return Amount::ZERO;
        };
        column
            .entitlement
            .get(children)
            .map_or(Amount::ZERO, |given| self.amount(pool, dim).minus(given.iter().copied().sum()))
    }

    fn capped_by(&self, pool: PoolId, dim: Dim) -> CappedBy {
        let (entitlement, cap) = (self.amount(pool, dim), self.cap(pool, dim));
        if pool == PoolId::ROOT {
            return CappedBy::Parent;
        }
        if entitlement < cap {
            let met = entitlement >= self.requirement(pool, dim);
            return if met { CappedBy::Requirement } else { CappedBy::Parent };
        }
        match self.shape.terms.get(dim.index()).and_then(|terms| terms.get(pool.index())) {
            Some(terms) if terms.share == 0 && cap >= terms.reservation => CappedBy::Share,
            Some(terms) if cap >= terms.limit => CappedBy::Limit,
            _ => CappedBy::Children,
        }
    }
}
