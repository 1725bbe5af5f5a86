//! From usage and demand to entitlements: the order of the passes, and what need not be computed again.
//!
//! What each pass does is in `bottom_up` and `family`, the memory in `column`. Here is decided only what need not be done: a
//! dimension in which no number changed keeps its result.

use std::sync::Arc;

use weir_model::{Amount, Dim, Dimensions, PoolId, PoolTree, ResourceVec};

use crate::bottom_up;
use crate::column::{Column, Given};
use crate::family::Family;
use crate::fill::Divider;
use crate::shape::Shape;
use crate::table::PoolTable;

/// What entitlements depend on besides the tree. Only what stands at leaves is read; an inner pool has what
/// its children have together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// What the cluster has to give (see [`capacity()`](crate::capacity())).
    pub capacity: ResourceVec,
    /// Requests of admitted pods that are not finished, a terminating one until it is gone.
    pub usage: PoolTable,
    /// The part of the usage that may not be preempted; where it is more than the usage, it is the usage.
    pub non_preemptible: PoolTable,
    /// Requests of waiting pods that would be admitted if only the entitlement were larger.
    pub demand: PoolTable,
}

impl Input {
    /// Nothing used, nothing asked for, nothing to give.
    ///
    /// ```
    /// use weir_entitlement::Input;
    /// use weir_model::{Dimensions, PoolTree};
    /// let (tree, _) = PoolTree::build(vec![], &Dimensions::new());
    /// assert!(Input::new(&tree).capacity.is_zero());
    /// ```
    #[must_use]
    pub fn new(tree: &PoolTree) -> Self {
        let empty = PoolTable::new(tree);
        Self { capacity: ResourceVec::new(), usage: empty.clone(), non_preemptible: empty.clone(), demand: empty }
    }
}

/// The entitlements of one cluster at one moment.
///
/// ```
/// use weir_entitlement::{Input, entitle};
/// use weir_model::{Amount, Dimensions, PoolSpec, PoolTree, ResourceSpec, ResourceVec};
/// let mut dims = Dimensions::new();
/// let gpu = dims.intern("nvidia.com/gpu");
/// let pool = |name: &str, reservation| PoolSpec {
///     name: name.into(),
///     parent: None,
///     resources: vec![(gpu, ResourceSpec { reservation: Amount::new(reservation), ..ResourceSpec::unlisted(1) })],
/// };
/// let (tree, _) = PoolTree::build(vec![pool("production", 60), pool("research", 40)], &dims);
/// let (production, research) = (tree.find("production").unwrap(), tree.find("research").unwrap());
///
/// let mut input = Input::new(&tree);
/// input.capacity.set(gpu, Amount::new(100));
/// input.usage.set(production, gpu, Amount::new(20));
/// input.demand.set(research, gpu, Amount::new(90));
/// let entitlements = entitle(&tree, &dims, &input);
/// assert_eq!(entitlements.amount(research, gpu), Amount::new(80));
/// assert_eq!(entitlements.trace(research, gpu).borrowed, Amount::new(40));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlements {
    pub(crate) shape: Arc<Shape>,
    /// One for each dimension.
    pub(crate) columns: Vec<Column>,
}

/// Computes entitlements again and again for one tree, without new memory and without doing again what did
/// not change. Another tree or another dimension needs another `Entitler`.
///
/// ```
/// use weir_entitlement::{Entitler, Input};
/// use weir_model::{Amount, Dimensions, PoolSpec, PoolTree};
/// let mut dims = Dimensions::new();
/// let gpu = dims.intern("nvidia.com/gpu");
/// let pool = |name: &str| PoolSpec { name: name.into(), ..PoolSpec::default() };
/// let (tree, _) = PoolTree::build(vec![pool("ads"), pool("maps")], &dims);
/// let (ads, maps) = (tree.find("ads").unwrap(), tree.find("maps").unwrap());
///
/// let mut input = Input::new(&tree);
/// input.capacity.set(gpu, Amount::new(8));
/// let mut entitler = Entitler::new(&tree, &dims);
/// assert_eq!(entitler.entitle(&input).amount(ads, gpu), Amount::new(4));
/// input.demand.set(maps, gpu, Amount::new(7));
/// assert_eq!(entitler.entitle(&input).amount(maps, gpu), Amount::new(7));
/// ```
#[derive(Clone, Debug)]
pub struct Entitler {
    current: Entitlements,
    divider: Divider,
}

/// The entitlements of every pool in every dimension, computed once.
///
/// ```
/// use weir_entitlement::{Input, entitle};
/// use weir_model::{Amount, Dimensions, PoolSpec, PoolTree};
/// let mut dims = Dimensions::new();
/// let gpu = dims.intern("nvidia.com/gpu");
/// let pool = |name: &str| PoolSpec { name: name.into(), ..PoolSpec::default() };
/// let (tree, _) = PoolTree::build(vec![pool("ads"), pool("maps")], &dims);
/// let mut input = Input::new(&tree);
/// input.capacity.set(gpu, Amount::new(8));
/// let entitlements = entitle(&tree, &dims, &input);
/// assert_eq!(entitlements.amount(tree.find("ads").unwrap(), gpu), Amount::new(4));
/// ```
#[must_use]
pub fn entitle(tree: &PoolTree, dims: &Dimensions, input: &Input) -> Entitlements {
    let mut entitler = Entitler::new(tree, dims);
    entitler.entitle(input);
    entitler.current
}

impl Entitler {
    /// An entitler for this tree and these dimensions. Dimensions that become known later count as absent.
    #[must_use]
    pub fn new(tree: &PoolTree, dims: &Dimensions) -> Self {
        let shape = Shape::new(tree, dims);
        let columns = dims.iter().map(|_| Column::default()).collect();
        Self { current: Entitlements { shape: Arc::new(shape), columns }, divider: Divider::default() }
    }

    /// The entitlements for this input. Dimensions in which nothing changed since the last call are not touched.
    pub fn entitle(&mut self, input: &Input) -> &Entitlements {
        let Entitlements { shape, columns } = &mut self.current;
        let dims = input_columns(input, columns.len());
        for ((column, terms), given) in columns.iter_mut().zip(&shape.terms).zip(dims) {
            if !column.take(shape, &given) {
                continue;
            }
            bottom_up::sum_children(shape, column);
            bottom_up::caps(shape, terms, column);
            bottom_up::requirements(shape, terms, column);
            column.entitlement[0] = column.capacity.max(column.non_preemptible[0]);
            column.guaranteed[0] = column.entitlement[0];
            column.scaled.clear();
            for (pool, children) in shape.children.iter().enumerate().filter(|(_, children)| !children.is_empty()) {
                let lambda = Family::new(terms, column, pool, children).divide(&mut self.divider);
                column.scaled.extend(lambda.map(|lambda| (pool, lambda)));
            }
        }
        &self.current
    }

    /// What the last call of [`Entitler::entitle`] gave; zero everywhere before the first.
    #[must_use]
    pub const fn current(&self) -> &Entitlements {
        &self.current
    }
}

fn input_columns(input: &Input, count: usize) -> impl Iterator<Item = Given<'_>> {
    let Input { capacity, usage, non_preemptible, demand } = input;
    Dimensions::first(count).map(move |dim| Given {
        capacity: capacity.amount(dim),
        usage: usage.column(dim),
        non_preemptible: non_preemptible.column(dim),
        demand: demand.column(dim),
    })
}

impl Entitlements {
    /// What the pool may use now.
    #[must_use]
    pub fn amount(&self, pool: PoolId, dim: Dim) -> Amount {
        self.read(pool, dim, |column| &column.entitlement)
    }

    /// What the pool uses and asks for: of an inner pool, of each child no more than that child's cap.
    #[must_use]
    pub fn requirement(&self, pool: PoolId, dim: Dim) -> Amount {
        self.read(pool, dim, |column| &column.requirement)
    }

    /// What the pool may have at most, [`Amount::MAX`] where nothing caps it: its limit (with share 0 its
    /// reservation), and of an inner pool also its children's caps.
    #[must_use]
    pub fn cap(&self, pool: PoolId, dim: Dim) -> Amount {
        self.read(pool, dim, |column| &column.cap)
    }

    /// What the pool uses; an inner pool what its children use.
    #[must_use]
    pub fn usage(&self, pool: PoolId, dim: Dim) -> Amount {
        self.read(pool, dim, |column| &column.usage)
    }

    /// The part of the usage that may not be preempted; of an inner pool its children's.
    #[must_use]
    pub fn non_preemptible(&self, pool: PoolId, dim: Dim) -> Amount {
        self.read(pool, dim, |column| &column.non_preemptible)
    }

    /// The eligible demand; of an inner pool its children's.
    #[must_use]
    pub fn demand(&self, pool: PoolId, dim: Dim) -> Amount {
        self.read(pool, dim, |column| &column.demand)
    }

    /// What the cluster has to give.
    #[must_use]
    pub fn capacity(&self, dim: Dim) -> Amount {
        self.columns.get(dim.index()).map_or(Amount::ZERO, |column| column.capacity)
    }

    pub(crate) fn read(&self, pool: PoolId, dim: Dim, part: impl Fn(&Column) -> &Vec<Amount>) -> Amount {
        self.columns.get(dim.index()).map_or(Amount::ZERO, |column| Column::at(part(column), pool))
    }
}
