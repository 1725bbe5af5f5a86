//! The pool tree as the queue uses it: settings by pool, what holds a pool, and the entitlements of the round.

use weir_entitlement::{Entitler, Input};
use weir_model::{Amount, Dim, Dimensions, PoolError, PoolId, PoolSpec, PoolTree, ResourceVec};

use crate::contract::explanation::PoolName;
use crate::contract::settings::{PoolConfig, PoolSettings, PoolState};

/// The pools, and what each is entitled to.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    pub(crate) tree: PoolTree,
    pub(crate) errors: Vec<PoolError>,
    settings: Vec<PoolSettings>,
    /// The largest pod or gang, where there is a bound; by pool.
    largest: Vec<Vec<(Dim, Amount)>>,
    /// The pool itself or the nearest ancestor that takes nothing new; by pool.
    held_by: Vec<Option<PoolId>>,
    entitler: Entitler,
    input: Input,
    /// By pool and dimension: what may never be exceeded, and `None` where the dimension is not checked.
    caps: Vec<Vec<Option<Amount>>>,
    /// How many dimensions all this was made for.
    dims: usize,
    /// How often the pools changed, so that answers about them can be remembered.
    pub(crate) generation: u64,
}

impl Pools {
    /// The pools of this configuration that hang on the root.
    pub(crate) fn build(configs: Vec<PoolConfig>, dims: &mut Dimensions) -> Self {
        let mut settings_by_name = std::collections::BTreeMap::new();
        let mut specs = Vec::with_capacity(configs.len());
        for PoolConfig { name, parent, resources, settings } in configs {
            let resources = resources.iter().map(|(dim, spec)| (dims.intern(dim), *spec)).collect();
            settings_by_name.entry(name.clone()).or_insert(settings);
            specs.push(PoolSpec { name, parent, resources });
        }
        let (tree, errors) = PoolTree::build(specs, dims);
        let mut pools = Self {
            settings: tree.iter().map(|pool| settings_by_name.remove(tree.name(pool)).unwrap_or_default()).collect(),
            largest: Vec::new(),
            held_by: Vec::new(),
            entitler: Entitler::new(&tree, dims),
            input: Input::new(&tree),
            caps: Vec::new(),
            dims: usize::MAX,
            generation: 0,
            tree,
            errors,
        };
        for pool in pools.tree.iter() {
            let bounds = pools.settings(pool).max_workload.iter();
            pools.largest.push(bounds.map(|(dim, amount)| (dims.intern(dim), *amount)).collect());
            let held = pools.tree.path(pool).find(|&at| pools.settings(at).state != PoolState::Active);
            pools.held_by.push(held);
        }
        pools
    }

    /// The same pools, as what came after others.
    pub(crate) fn following(self, before: &Self) -> Self {
        Self { generation: before.generation + 1, ..self }
    }

    /// Whether both have the same pools under the same parents, so that positions mean the same.
    pub(crate) fn same_structure(&self, other: &Self) -> bool {
        let shape = |tree: &PoolTree| -> Vec<_> {
            tree.iter().map(|pool| (tree.name(pool).to_owned(), tree.parent(pool))).collect()
        };
        shape(&self.tree) == shape(&other.tree)
    }

    /// The leaf of this name.
    pub(crate) fn leaf(&self, name: &str) -> Option<PoolId> {
        self.tree.find(name).filter(|&pool| self.tree.is_leaf(pool))
    }

    /// How a pool's queue works.
    pub(crate) fn settings(&self, pool: PoolId) -> &PoolSettings {
        static ROOT: std::sync::LazyLock<PoolSettings> = std::sync::LazyLock::new(PoolSettings::default);
        self.settings.get(pool.index()).unwrap_or(&ROOT)
    }

    /// The pool itself or the nearest ancestor that takes nothing new.
    pub(crate) fn held_by(&self, pool: PoolId) -> Option<PoolId> {
        self.held_by.get(pool.index()).copied().flatten()
    }

    /// Whether the pool or an ancestor drains.
    pub(crate) fn drains(&self, pool: PoolId) -> bool {
        self.tree.path(pool).any(|at| self.settings(at).state == PoolState::Drain)
    }

    /// Where a request is larger than its pool, or an ancestor, takes in one piece.
    pub(crate) fn too_large(&self, pool: PoolId, asked: &ResourceVec) -> Option<(PoolId, Dim, Amount)> {
        let bounds = |at: PoolId| self.largest[at.index()].iter().map(move |&(dim, largest)| (at, dim, largest));
        self.tree.path(pool).flat_map(bounds).find(|&(_, dim, largest)| asked.amount(dim) > largest)
    }

    /// Whether a dimension is checked for a pool.
    pub(crate) fn checks(&self, pool: PoolId, dim: Dim) -> bool {
        self.caps[pool.index()].get(dim.index()).is_some_and(Option::is_some)
    }

    /// What a pool may never exceed: its limit, with share 0 its reservation. Nothing binds the root.
    pub(crate) fn cap(&self, pool: PoolId, dim: Dim) -> Amount {
        self.caps[pool.index()].get(dim.index()).copied().flatten().unwrap_or(Amount::MAX)
    }

    /// Makes room for dimensions that became known since the last call.
    pub(crate) fn learn(&mut self, dims: &Dimensions) {
        if dims.len() == self.dims {
            return;
        }
        self.dims = dims.len();
        self.entitler = Entitler::new(&self.tree, dims);
        self.input = Input::new(&self.tree);
        let cap = |pool: PoolId, dim: Dim| {
            let spec = self.tree.spec(pool, dim, dims);
            let limit = spec.limit.filter(|_| pool != PoolId::ROOT).unwrap_or(Amount::MAX);
            let borrows = spec.share > 0 || pool == PoolId::ROOT;
            self.tree.checks(pool, dim, dims).then(|| if borrows { limit } else { limit.min(spec.reservation) })
        };
        self.caps = self.tree.iter().map(|pool| dims.iter().map(|dim| cap(pool, dim)).collect()).collect();
    }

    /// What non-preemptible pods may use at most, where the pool lists the dimension (B4).
    pub(crate) fn reserved(&self, pool: PoolId, dim: Dim) -> Option<Amount> {
        self.tree.listed(pool, dim).map(|spec| spec.reservation)
    }

    /// What a pool is entitled to, as of the last [`Pools::divide`].
    pub(crate) fn entitled(&self, pool: PoolId, dim: Dim) -> Amount {
        self.entitler.current().amount(pool, dim)
    }

    /// The entitlements with all that explains them.
    pub(crate) fn entitlements(&self) -> &weir_entitlement::Entitlements {
        self.entitler.current()
    }

    /// What the entitlements were divided by.
    pub(crate) const fn inputs(&self) -> &Input {
        &self.input
    }

    /// What the next division goes by, to be filled in.
    pub(crate) const fn inputs_mut(&mut self) -> &mut Input {
        &mut self.input
    }

    /// Divides the capacity anew by the inputs.
    pub(crate) fn divide(&mut self) {
        self.entitler.entitle(&self.input);
    }

    /// A pool's name for sentences.
    pub(crate) fn named(&self, pool: PoolId) -> PoolName {
        PoolName(self.tree.name(pool).to_owned())
    }
}
