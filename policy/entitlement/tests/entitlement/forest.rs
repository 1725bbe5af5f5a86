//! Random trees of pools, small enough to shrink well: what the properties and the oracle are tried on.

use proptest::prelude::*;
use weir_entitlement::{Entitlements, Input, entitle};
use weir_model::{Amount, Dim, Dimensions, PoolSpec, PoolTree, ResourceKind, ResourceSpec};

/// One random pool. Its name is `p` and its place in the list.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    /// The place of its parent in the list, always before its own; `None` under the root.
    pub(crate) parent: Option<usize>,
    pub(crate) reservation: i64,
    pub(crate) limit: Option<i64>,
    pub(crate) share: u32,
    pub(crate) kind: ResourceKind,
    /// Only read where it turns out a leaf.
    pub(crate) usage: i64,
    pub(crate) non_preemptible: i64,
    pub(crate) demand: i64,
}

/// A random tree with a capacity.
#[derive(Clone, Debug)]
pub(crate) struct Forest {
    pub(crate) capacity: i64,
    pub(crate) pools: Vec<Pool>,
}

/// Trees of up to 14 pools with amounts up to 60, so that limits, reservations and capacity often meet.
pub(crate) fn small() -> impl Strategy<Value = Forest> {
    of(0..60i64, prop_oneof![3 => Just(1u32), 1 => Just(0), 2 => 2..6u32])
}

/// Trees whose amounts and shares lie at the ends of what can be written.
pub(crate) fn extreme() -> impl Strategy<Value = Forest> {
    let amount = prop_oneof![
        Just(0),
        Just(1),
        Just(i64::MAX / 3),
        Just(i64::MAX / 2 + 1),
        Just(i64::MAX - 1),
        Just(i64::MAX),
        any::<i64>().prop_map(|any| any & i64::MAX),
    ];
    of(amount, prop_oneof![Just(0), Just(1), Just(u32::MAX - 1), Just(u32::MAX), any::<u32>()])
}

fn of(
    amount: impl Strategy<Value = i64> + Clone + 'static,
    share: impl Strategy<Value = u32> + Clone + 'static,
) -> impl Strategy<Value = Forest> {
    let kind = prop_oneof![4 => Just(ResourceKind::Elastic), 1 => Just(ResourceKind::Static)];
    let terms = (amount.clone(), proptest::option::weighted(0.4, amount.clone()), share, kind);
    let work = (amount.clone(), amount.clone(), amount.clone(), 0..3u8);
    let pool = (any::<prop::sample::Index>(), 0..4u8, terms, work);
    (amount, prop::collection::vec(pool, 1..14)).prop_map(|(capacity, drafts)| {
        let pools = drafts.into_iter().enumerate().map(|(at, (above, under_root, terms, work))| {
            let (reservation, headroom, share, kind) = terms;
            let (usage, non_preemptible, demand, idle) = work;
            Pool {
                parent: (at > 0 && under_root > 0).then(|| above.index(at)),
                reservation,
                limit: headroom.map(|headroom| reservation.saturating_add(headroom)),
                share,
                kind,
                usage: if idle == 0 { 0 } else { usage },
                non_preemptible: if idle == 2 { non_preemptible.min(usage) } else { 0 },
                demand: if idle == 0 { 0 } else { demand },
            }
        });
        Forest { capacity: capacity.saturating_mul(2), pools: pools.collect() }
    })
}

/// A forest as the library sees it.
pub(crate) struct Planted {
    pub(crate) tree: PoolTree,
    pub(crate) dims: Dimensions,
    pub(crate) dim: Dim,
    pub(crate) input: Input,
}

impl Forest {
    /// The same forest with another capacity.
    pub(crate) fn with_capacity(&self, capacity: i64) -> Self {
        Self { capacity, pools: self.pools.clone() }
    }

    /// Builds the tree from the pools in this order.
    pub(crate) fn plant(&self, order: impl Iterator<Item = usize>) -> Planted {
        let mut dims = Dimensions::new();
        let dim = dims.intern("cpu");
        let specs = order.map(|at| self.pools[at].spec(at, dim)).collect();
        let (tree, errors) = PoolTree::build(specs, &dims);
        assert_eq!(errors, []);
        let mut input = Input::new(&tree);
        input.capacity.set(dim, Amount::new(self.capacity));
        for (at, pool) in self.pools.iter().enumerate() {
            let id = tree.find(&name(at)).unwrap();
            input.usage.set(id, dim, Amount::new(pool.usage));
            input.non_preemptible.set(id, dim, Amount::new(pool.non_preemptible));
            input.demand.set(id, dim, Amount::new(pool.demand));
        }
        Planted { tree, dims, dim, input }
    }

    pub(crate) fn planted(&self) -> Planted {
        self.plant(0..self.pools.len())
    }
}

impl Planted {
    pub(crate) fn entitle(&self) -> Entitlements {
        entitle(&self.tree, &self.dims, &self.input)
    }

    pub(crate) fn spec(&self, pool: weir_model::PoolId) -> ResourceSpec {
        self.tree.spec(pool, self.dim, &self.dims)
    }
}

impl Pool {
    fn spec(&self, at: usize, dim: Dim) -> PoolSpec {
        let Self { parent, reservation, limit, share, kind, usage: _, non_preemptible: _, demand: _ } = *self;
        let terms = ResourceSpec { reservation: Amount::new(reservation), limit: limit.map(Amount::new), share, kind };
        PoolSpec { name: name(at), parent: parent.map(name), resources: vec![(dim, terms)] }
    }
}

pub(crate) fn name(at: usize) -> String {
    format!("p{at:02}")
}
