//! Conditions that deserve attention though nothing stops: reservations that are more than there is.
//!
//! No configuration is refused because of today's capacity. Work goes on, every reservation is cut by the same
//! factor, and these conditions say so on the pool above those that were cut.

use weir_model::{Amount, Dim, Dimensions, PoolId};

use crate::entitler::Entitlements;
use crate::fraction::Fraction;

/// A fact that the owner of a pool should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The children of a pool reserve more than the pool itself; of the root, more than there is.
    OverReserved {
        /// The parent.
        pool: PoolId,
        /// The dimension.
        dim: Dim,
        /// What the children reserve together.
        reserved: Amount,
        /// What the pool reserves; of the root, the capacity.
        available: Amount,
    },
    /// The children of a pool ask for more of their reservations than the pool is entitled to now, so each
    /// gets λ times what it would get (and never less than its non-preemptible pods use).
    ReservationsScaled {
        /// The parent.
        pool: PoolId,
        /// The dimension.
        dim: Dim,
        /// The factor, below 1.
        lambda: Fraction,
    },
}

impl Entitlements {
    /// All conditions: dimension by dimension, pools level by level, what is reserved before what was cut.
    ///
    /// ```
    /// use weir_entitlement::{Condition, Input, entitle};
    /// use weir_model::{Amount, Dimensions, PoolId, PoolSpec, PoolTree, ResourceSpec};
    /// let mut dims = Dimensions::new();
    /// let gpu = dims.intern("nvidia.com/gpu");
    /// let terms = ResourceSpec { reservation: Amount::new(60), ..ResourceSpec::unlisted(1) };
    /// let ads = PoolSpec { name: "ads".into(), parent: None, resources: vec![(gpu, terms)] };
    /// let (tree, _) = PoolTree::build(vec![ads], &dims);
    /// let mut input = Input::new(&tree);
    /// input.capacity.set(gpu, Amount::new(40));
    /// let entitlements = entitle(&tree, &dims, &input);
    /// let over = Condition::OverReserved {
    ///     pool: PoolId::ROOT,
    ///     dim: gpu,
    ///     reserved: Amount::new(60),
    ///     available: Amount::new(40),
    /// };
    /// assert_eq!(entitlements.conditions().collect::<Vec<_>>(), [over]);
    /// ```
    pub fn conditions(&self) -> impl Iterator<Item = Condition> + '_ {
        Dimensions::first(self.columns.len()).flat_map(|dim| self.over_reserved(dim).chain(self.scaled(dim)))
    }

    fn over_reserved(&self, dim: Dim) -> impl Iterator<Item = Condition> + '_ {
        let families = self.shape.children.iter().enumerate().filter(|(_, children)| !children.is_empty());
        families.filter_map(move |(at, children)| {
            let terms = &self.shape.terms[dim.index()];
            let pool = self.shape.ids[at];
            // Summed exactly: reservations that saturate must still count as more than there is.
            let exact: i128 = terms[children.clone()].iter().map(|terms| i128::from(terms.reservation.units())).sum();
            let reserved = Amount::new(i64::try_from(exact).unwrap_or(i64::MAX));
            let available = if pool == PoolId::ROOT { self.capacity(dim) } else { terms[at].reservation };
            (exact > available.units().into()).then_some(Condition::OverReserved { pool, dim, reserved, available })
        })
    }

    fn scaled(&self, dim: Dim) -> impl Iterator<Item = Condition> + '_ {
        let scaled = self.columns[dim.index()].scaled.iter();
        scaled.map(move |&(at, lambda)| Condition::ReservationsScaled { pool: self.shape.ids[at], dim, lambda })
    }
}
