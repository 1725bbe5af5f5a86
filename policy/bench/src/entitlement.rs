//! Entitlement: trees of four levels and four dimensions, every leaf asking and using, more asked for than
//! there is, so that no step is skipped.

use weir_entitlement::{Entitler, Input};
use weir_model::{Amount, Dim, Dimensions, PoolId, PoolSpec, PoolTree, ResourceKind, ResourceSpec};

use crate::measure::{Dice, Quantity, Row, milliseconds};

/// Dimensions with the size of one ordinary request in base units: milli-CPU, bytes, bytes, devices.
const DIMENSIONS: [(&str, u64); 4] =
    [("cpu", 4000), ("memory", 16 << 30), ("ephemeral-storage", 100 << 30), ("nvidia.com/gpu", 1)];

pub(crate) const QUANTITIES: &[Quantity] = &[
    ("entitlement_1000_ms", |name| everything(name, 1000, 500)),
    ("entitlement_10000_ms", |name| everything(name, 10_000, 100)),
    ("entitlement_1000_one_change_ms", |name| one_change(name, 1000, 500)),
    ("entitlement_10000_one_change_ms", |name| one_change(name, 10_000, 100)),
];

/// Every leaf changed in every dimension.
fn everything(name: &'static str, pools: u64, runs: usize) -> Row {
    let what = format!("{pools} pools × {} dimensions × 4 levels, all changed", DIMENSIONS.len());
    milliseconds(name, what, runs, &mut Bench::new(pools), |bench, run| bench.shake(run), Bench::entitle)
}

/// One leaf changed in one dimension, as after the arrival of one pod.
fn one_change(name: &'static str, pools: u64, runs: usize) -> Row {
    let what = format!("{pools} pools × {} dimensions × 4 levels, one pod arrived", DIMENSIONS.len());
    milliseconds(name, what, runs, &mut Bench::new(pools), |bench, run| bench.one_pod(run), Bench::entitle)
}

struct Bench {
    tree: PoolTree,
    dims: Dimensions,
    input: Input,
    entitler: Entitler,
}

impl Bench {
    fn new(pools: u64) -> Self {
        let mut dims = Dimensions::new();
        for (name, _) in DIMENSIONS {
            dims.intern(name);
        }
        let (tree, errors) = PoolTree::build(specs(pools, &dims), &dims);
        assert!(errors.is_empty() && tree.len() as u64 == pools + 1, "the tree is whole");
        let mut input = Input::new(&tree);
        for (dim, (_, unit)) in dims.iter().zip(DIMENSIONS) {
            input.capacity.set(dim, amount(pools * 20 * unit));
        }
        let entitler = Entitler::new(&tree, &dims);
        let mut bench = Self { tree, dims, input, entitler };
        bench.shake(0);
        bench
    }

    /// New usage and demand everywhere: on average half as much again as there is.
    fn shake(&mut self, run: usize) {
        let mut dice = Dice::new(run as u64);
        for pool in self.tree.iter().filter(|&pool| self.tree.is_leaf(pool)) {
            for (dim, (_, unit)) in self.dims.iter().zip(DIMENSIONS) {
                let used = dice.below(40) * unit;
                self.input.usage.set(pool, dim, amount(used));
                self.input.non_preemptible.set(pool, dim, amount(used / 4));
                self.input.demand.set(pool, dim, amount(dice.below(60) * unit));
            }
        }
    }

    fn one_pod(&mut self, run: usize) {
        let leaf = self.tree.iter().rev().nth(run % 100).unwrap_or(PoolId::ROOT);
        let Some(gpu) = self.dims.find("nvidia.com/gpu") else { return };
        let asked = self.input.demand.amount(leaf, gpu);
        self.input.demand.set(leaf, gpu, asked + Amount::new(1));
    }

    fn entitle(&mut self) -> Amount {
        let last = self.tree.iter().next_back().unwrap_or(PoolId::ROOT);
        let dim: Option<Dim> = self.dims.iter().next();
        let entitlements = self.entitler.entitle(&self.input);
        dim.map_or(Amount::ZERO, |dim| entitlements.amount(last, dim))
    }
}

/// Four levels; each pool hangs under a random one of the level above. Reservations are about half of the
/// capacity; some pools have limits, some are static, some have share 0.
fn specs(pools: u64, dims: &Dimensions) -> Vec<PoolSpec> {
    let mut dice = Dice::new(7);
    let starts = [0, pools / 40, pools / 8, pools / 8 * 3, pools];
    let mut specs = Vec::new();
    for level in 0..4 {
        for at in starts[level]..starts[level + 1] {
            let above = level.checked_sub(1).map(|above| starts[above] + dice.below(starts[level] - starts[above]));
            let terms = |dice: &mut Dice, unit: u64| {
                let reservation = amount((dice.below(20) << (2 * (3 - level))) * unit);
                let limit = (dice.below(4) == 0).then(|| reservation + amount(dice.below(1000) * unit));
                let kind = if dice.below(20) == 0 { ResourceKind::Static } else { ResourceKind::Elastic };
                ResourceSpec { reservation, limit, share: [1, 1, 1, 2, 3, 5, 10, 0][dice.below(8) as usize], kind }
            };
            specs.push(PoolSpec {
                name: name(at),
                parent: above.map(name),
                resources: dims.iter().zip(DIMENSIONS).map(|(dim, (_, unit))| (dim, terms(&mut dice, unit))).collect(),
            });
        }
    }
    specs
}

fn name(at: u64) -> String {
    format!("pool-{at:05}")
}

fn amount(units: u64) -> Amount {
    Amount::new(i64::try_from(units).unwrap_or(i64::MAX))
}
