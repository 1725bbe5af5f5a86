//! The passes from the leaves to the root: what each pool uses, may have at most, and asks for.

use weir_model::Amount;

use crate::column::Column;
use crate::shape::{Shape, Terms};

/// An inner pool uses and asks for what its children use and ask for together.
pub(crate) fn sum_children(shape: &Shape, column: &mut Column) {
    for (pool, children) in shape.inner_from_below() {
        for amounts in [&mut column.usage, &mut column.non_preemptible, &mut column.demand] {
            amounts[pool] = amounts[children.clone()].iter().copied().sum();
        }
    }
}

/// The cap of a pool: its limit, with share 0 its reservation; of an inner pool also no more than its
/// children's caps together, because more could never be used. Never below what its non-preemptible pods
/// use, which cannot be taken, nor below what a static pool keeps.
pub(crate) fn caps(shape: &Shape, terms: &[Terms], column: &mut Column) {
    for (pool, children) in shape.children.iter().enumerate().rev() {
        let terms = &terms[pool];
        let own = if terms.share == 0 { terms.reservation } else { terms.limit };
        let below = if children.is_empty() { Amount::MAX } else { column.cap[children.clone()].iter().copied().sum() };
        column.cap[pool] = own.min(below).max(column.non_preemptible[pool]).max(terms.kept());
    }
}

/// The requirement of a leaf is its usage and its eligible demand; that of an inner pool is what its children
/// require within their caps.
///
/// A static child keeps its whole reservation without asking for it, so that its siblings would go short. Its
/// parent therefore asks as if the child did, but only out of the parent's own reservation: a static pool
/// must not make its parent borrow.
pub(crate) fn requirements(shape: &Shape, terms: &[Terms], column: &mut Column) {
    for &leaf in &shape.leaves {
        column.requirement[leaf] = column.usage[leaf] + column.demand[leaf];
    }
    for (pool, children) in shape.inner_from_below() {
        let within_cap = |child: usize| column.requirement[child].min(column.cap[child]);
        let asked: Amount = children.clone().map(within_cap).sum();
        let kept: Amount = children.map(|child| within_cap(child).max(terms[child].kept())).sum();
        column.requirement[pool] = asked.max(kept.min(terms[pool].reservation));
    }
}
