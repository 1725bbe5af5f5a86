//! The tree of pools that divides the cluster.
//!
//! Users write pools one by one, each naming its parent, so anything can be wrong with the whole: two of
//! one name, a parent that does not exist, a cycle. [`PoolTree::build`] keeps every pool that hangs on the
//! root and says what is wrong with each of the others; nothing stops because of them.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::{Amount, Dim, Dimensions};

/// Whether a pool lends the part of its reservation that it does not use (Peloton's terms).
///
/// ```
/// use weir_model::{ResourceKind, ResourceSpec};
/// assert_eq!(ResourceSpec::unlisted(1).kind, ResourceKind::Elastic);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// Lends what it does not use and takes it back when it needs it.
    #[default]
    Elastic,
    /// Keeps its whole reservation whether it uses it or not.
    Static,
}

/// What one pool is given of one dimension.
///
/// ```
/// use weir_model::{Amount, ResourceKind, ResourceSpec};
/// let unlisted = ResourceSpec::unlisted(1);
/// assert_eq!((unlisted.reservation, unlisted.limit, unlisted.kind), (Amount::ZERO, None, ResourceKind::Elastic));
/// let team = ResourceSpec { reservation: Amount::new(8), limit: Some(Amount::new(16)), ..unlisted };
/// assert_eq!((team.reservation.units(), team.share), (8, 1), "8 are its own, and up to 8 more it may borrow");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceSpec {
    /// What the pool is guaranteed, in the dimension's base unit.
    pub reservation: Amount,
    /// What the pool may never exceed; `None` means no limit. Never below the reservation in a built tree.
    pub limit: Option<Amount>,
    /// The pool's weight when surplus is divided; 0 never borrows.
    pub share: u32,
    /// Whether an unused reservation is lent.
    pub kind: ResourceKind,
}

impl ResourceSpec {
    /// What holds for a pool that does not list the dimension: no reservation, no limit, elastic, this share.
    ///
    /// ```
    /// use weir_model::ResourceSpec;
    /// assert!(ResourceSpec::unlisted(0).reservation.is_zero());
    /// ```
    #[must_use]
    pub const fn unlisted(share: u32) -> Self {
        Self { reservation: Amount::ZERO, limit: None, share, kind: ResourceKind::Elastic }
    }
}

/// A pool as its author wrote it.
///
/// ```
/// use weir_model::{Amount, Dimensions, PoolSpec, ResourceSpec};
/// let gpu = Dimensions::new().intern("nvidia.com/gpu");
/// let eight = ResourceSpec { reservation: Amount::new(8), ..ResourceSpec::unlisted(1) };
/// let labs = PoolSpec { name: "labs".into(), parent: Some("org".into()), resources: vec![(gpu, eight)] };
/// assert_eq!(labs.resources.len(), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolSpec {
    /// The pool's name: unique in the cluster, not empty.
    pub name: String,
    /// The pool above; `None` means directly under the cluster.
    pub parent: Option<String>,
    /// What the pool is given of each dimension; a dimension stands at most once.
    pub resources: Vec<(Dim, ResourceSpec)>,
}

/// A pool, as its position in a [`PoolTree`]. The root, which is the cluster itself, is [`PoolId::ROOT`].
///
/// ```
/// use weir_model::{Dimensions, PoolId, PoolSpec, PoolTree};
/// let org = PoolSpec { name: "org".into(), ..PoolSpec::default() };
/// let (tree, _) = PoolTree::build(vec![org], &Dimensions::new());
/// let org = tree.find("org").unwrap();
/// assert_eq!((PoolId::ROOT.index(), org.index()), (0, 1));
/// assert!(PoolId::ROOT < org, "parents come before their children");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(u32);

impl PoolId {
    /// The cluster itself: the ancestor of every pool, and no object.
    pub const ROOT: Self = Self(0);

    /// The position, 0 for the root; siblings are neighbours and parents come before their children.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    fn at(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }
}

/// Why a pool is not in the tree.
///
/// ```
/// use weir_model::PoolError;
/// let lost = PoolError::MissingParent { pool: "lost".into(), parent: "nowhere".into() };
/// let said = r#"pool "lost", parent: "nowhere" does not exist or is not valid; create it or name another"#;
/// assert_eq!((lost.to_string().as_str(), lost.pool()), (said, "lost"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolError {
    /// A pool without a name.
    EmptyName,
    /// Another pool of the same name came first.
    DuplicateName {
        /// The name that both have.
        pool: String,
    },
    /// The parent does not exist, or is itself not in the tree.
    MissingParent {
        /// The pool that is left out.
        pool: String,
        /// What it names as its parent.
        parent: String,
    },
    /// Going up from this pool leads back to it.
    Cycle {
        /// The pool that is left out.
        pool: String,
        /// What it names as its parent.
        parent: String,
    },
    /// A limit below the reservation could never be honoured.
    LimitBelowReservation {
        /// The pool that is left out.
        pool: String,
        /// The name of the dimension.
        resource: String,
        /// What it reserves, in base units.
        reservation: Amount,
        /// What it limits itself to, in base units.
        limit: Amount,
    },
    /// A dimension that stands twice.
    DuplicateResource {
        /// The pool that is left out.
        pool: String,
        /// The name of the dimension.
        resource: String,
    },
}

impl PoolError {
    /// The pool that is left out; empty for a pool without a name.
    ///
    /// ```
    /// use weir_model::PoolError;
    /// assert_eq!(PoolError::DuplicateName { pool: "labs".into() }.pool(), "labs");
    /// ```
    #[must_use]
    pub fn pool(&self) -> &str {
        match self {
            Self::EmptyName => "",
            Self::DuplicateName { pool }
            | Self::MissingParent { pool, .. }
            | Self::Cycle { pool, .. }
            | Self::LimitBelowReservation { pool, .. }
            | Self::DuplicateResource { pool, .. } => pool,
        }
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyName => write!(f, "name: a pool needs a name"),
            Self::DuplicateName { pool } => {
                write!(f, "pool {pool:?}, name: another pool has this name; give each its own")
            }
            Self::MissingParent { pool, parent } => {
                write!(f, "pool {pool:?}, parent: {parent:?} does not exist or is not valid; create it or name another")
            }
            Self::Cycle { pool, parent } => write!(
                f,
                "pool {pool:?}, parent: {parent:?} leads back to {pool:?}; one of them must hang under another pool"
            ),
            Self::LimitBelowReservation { pool, resource, reservation, limit } => write!(
                f,
                "pool {pool:?}, resources[{resource}].limit: {limit} is below the reservation {reservation}; \
                 raise the limit or lower the reservation"
            ),
            Self::DuplicateResource { pool, resource } => {
                write!(f, "pool {pool:?}, resources[{resource}]: stands twice; keep one of them")
            }
        }
    }
}

impl core::error::Error for PoolError {}

/// The pools that hang on the root, level by level; siblings are neighbours, sorted by name.
///
/// ```
/// use weir_model::{Dimensions, PoolError, PoolId, PoolSpec, PoolTree};
/// let pool = |name: &str, parent: Option<&str>| PoolSpec {
///     name: name.into(),
///     parent: parent.map(Into::into),
///     resources: Vec::new(),
/// };
/// let (tree, wrong) = PoolTree::build(
///     vec![pool("research", Some("org")), pool("org", None), pool("lost", Some("nowhere"))],
///     &Dimensions::new(),
/// );
/// let research = tree.find("research").unwrap();
/// assert_eq!(tree.name(tree.parent(research).unwrap()), "org");
/// assert_eq!((tree.depth(research), tree.is_leaf(research)), (2, true));
/// assert_eq!(tree.path(research).map(|pool| tree.name(pool)).collect::<Vec<_>>(), ["research", "org", ""]);
/// assert_eq!(tree.children(PoolId::ROOT).map(|pool| tree.name(pool)).collect::<Vec<_>>(), ["org"]);
/// assert_eq!((tree.len(), tree.iter().map(|pool| pool.index()).max()), (3, Some(2)));
/// assert_eq!(wrong, [PoolError::MissingParent { pool: "lost".into(), parent: "nowhere".into() }]);
/// assert_eq!(wrong[0].pool(), "lost");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolTree {
    /// In breadth-first order; the first is the root.
    pools: Vec<Pool>,
    by_name: BTreeMap<String, PoolId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pool {
    name: String,
    parent: Option<PoolId>,
    /// Positions of the children; empty for a leaf.
    children: Range<u32>,
    /// 0 for the root.
    depth: u32,
    /// Sorted by dimension.
    resources: Vec<(Dim, ResourceSpec)>,
}

impl PoolTree {
    /// The tree of all pools that can be part of one, and an error for each that cannot.
    ///
    /// The result does not depend on the order of `specs`, except that of two pools of one name the first
    /// stays. A pool under a pool that is left out is left out too.
    ///
    /// ```
    /// use weir_model::{Dimensions, PoolError, PoolSpec, PoolTree};
    /// let org = PoolSpec { name: "org".into(), ..PoolSpec::default() };
    /// let (tree, errors) = PoolTree::build(vec![org.clone(), org], &Dimensions::new());
    /// assert_eq!(tree.len(), 2, "the root and one pool");
    /// assert_eq!(errors, [PoolError::DuplicateName { pool: "org".into() }]);
    /// ```
    #[must_use]
    pub fn build(specs: Vec<PoolSpec>, dims: &Dimensions) -> (Self, Vec<PoolError>) {
        let mut errors = Vec::new();
        let mut named: BTreeMap<String, PoolSpec> = BTreeMap::new();
        for spec in specs {
            match check(&spec, dims) {
                Some(error) => errors.push(error),
                None if named.contains_key(&spec.name) => errors.push(PoolError::DuplicateName { pool: spec.name }),
                None => drop(named.insert(spec.name.clone(), spec)),
            }
        }
        let mut children: BTreeMap<Option<String>, BTreeSet<String>> = BTreeMap::new();
        for spec in named.values() {
            children.entry(spec.parent.clone()).or_default().insert(spec.name.clone());
        }
        let tree = Self::grow(&mut named, &children);
        errors.extend(named.values().map(|spec| orphan(spec, &named)));
        (tree, errors)
    }

    /// Takes the pools that hang on the root out of `named`, level by level.
    fn grow(named: &mut BTreeMap<String, PoolSpec>, children: &BTreeMap<Option<String>, BTreeSet<String>>) -> Self {
        let root = Pool { name: String::new(), parent: None, children: 1..1, depth: 0, resources: Vec::new() };
        let mut tree = Self { pools: Vec::from([root]), by_name: BTreeMap::new() };
        let mut waiting = VecDeque::from([(PoolId::ROOT, None)]);
        while let Some((id, key)) = waiting.pop_front() {
            let first = PoolId::at(tree.pools.len()).0;
            for name in children.get(&key).into_iter().flatten() {
                let Some(mut spec) = named.remove(name) else { continue };
                let child = PoolId::at(tree.pools.len());
                spec.resources.sort_unstable_by_key(|&(dim, _)| dim);
                tree.by_name.insert(name.clone(), child);
                tree.pools.push(Pool {
                    name: spec.name,
                    parent: Some(id),
                    children: 0..0,
                    depth: tree.pools[id.index()].depth + 1,
                    resources: spec.resources,
                });
                waiting.push_back((child, Some(name.clone())));
            }
            tree.pools[id.index()].children = first..PoolId::at(tree.pools.len()).0;
        }
        tree
    }

    /// The pool of this name.
    ///
    /// ```
    /// use weir_model::{Dimensions, PoolId, PoolSpec, PoolTree};
    /// # let pool = |name: &str, parent: Option<&str>| PoolSpec {
    /// #     name: name.into(), parent: parent.map(Into::into), resources: Vec::new(),
    /// # };
    /// let (tree, _) = PoolTree::build(vec![pool("org", None), pool("labs", Some("org"))], &Dimensions::new());
    /// assert!(tree.find("labs").is_some() && tree.find("nowhere").is_none());
    /// ```
    #[must_use]
    pub fn find(&self, name: &str) -> Option<PoolId> {
        self.by_name.get(name).copied()
    }

    /// The name of a pool; empty for the root.
    ///
    /// ```
    /// use weir_model::{Dimensions, PoolId, PoolSpec, PoolTree};
    /// # let pool = |name: &str, parent: Option<&str>| PoolSpec {
    /// #     name: name.into(), parent: parent.map(Into::into), resources: Vec::new(),
    /// # };
    /// let (tree, _) = PoolTree::build(vec![pool("org", None), pool("labs", Some("org"))], &Dimensions::new());
    /// assert_eq!(tree.name(PoolId::ROOT), "");
    /// ```
    #[must_use]
    pub fn name(&self, pool: PoolId) -> &str {
        &self.pools[pool.index()].name
    }

    /// The pool above; `None` for the root.
    ///
    /// ```
    /// use weir_model::{Dimensions, PoolId, PoolSpec, PoolTree};
    /// # let pool = |name: &str, parent: Option<&str>| PoolSpec {
    /// #     name: name.into(), parent: parent.map(Into::into), resources: Vec::new(),
    /// # };
    /// let (tree, _) = PoolTree::build(vec![pool("org", None), pool("labs", Some("org"))], &Dimensions::new());
    /// let labs = tree.find("labs").unwrap();
    /// assert_eq!((tree.parent(labs), tree.parent(PoolId::ROOT)), (tree.find("org"), None));
    /// ```
    #[must_use]
    pub fn parent(&self, pool: PoolId) -> Option<PoolId> {
        self.pools[pool.index()].parent
    }

    /// The children of a pool, sorted by name.
    ///
    /// ```
    /// use weir_model::{Dimensions, PoolId, PoolSpec, PoolTree};
    /// # let pool = |name: &str, parent: Option<&str>| PoolSpec {
    /// #     name: name.into(), parent: parent.map(Into::into), resources: Vec::new(),
    /// # };
    /// let (tree, _) = PoolTree::build(vec![pool("org", None), pool("labs", Some("org"))], &Dimensions::new());
    /// assert!(tree.children(PoolId::ROOT).eq(tree.find("org")));
    /// ```
    pub fn children(&self, pool: PoolId) -> impl ExactSizeIterator<Item = PoolId> + DoubleEndedIterator + use<> {
        let range = &self.pools[pool.index()].children;
        (range.start as usize..range.end as usize).map(PoolId::at)
    }

    /// Whether a pool has no children; only leaves hold pods.
    ///
    /// ```
    /// use weir_model::{Dimensions, PoolId, PoolSpec, PoolTree};
    /// # let pool = |name: &str, parent: Option<&str>| PoolSpec {
    /// #     name: name.into(), parent: parent.map(Into::into), resources: Vec::new(),
    /// # };
    /// let (tree, _) = PoolTree::build(vec![pool("org", None), pool("labs", Some("org"))], &Dimensions::new());
    /// assert!(tree.find("labs").is_some_and(|labs| tree.is_leaf(labs)));
    /// assert!(!tree.is_leaf(PoolId::ROOT));
    /// ```
    #[must_use]
    pub fn is_leaf(&self, pool: PoolId) -> bool {
        self.pools[pool.index()].children.is_empty()
    }

    /// The number of steps from the root to a pool; the root is at 0.
    ///
    /// ```
    /// use weir_model::{Dimensions, PoolId, PoolSpec, PoolTree};
    /// # let pool = |name: &str, parent: Option<&str>| PoolSpec {
    /// #     name: name.into(), parent: parent.map(Into::into), resources: Vec::new(),
    /// # };
    /// let (tree, _) = PoolTree::build(vec![pool("org", None), pool("labs", Some("org"))], &Dimensions::new());
    /// assert_eq!(tree.find("labs").map(|labs| tree.depth(labs)), Some(2));
    /// ```
    #[must_use]
    pub fn depth(&self, pool: PoolId) -> usize {
        self.pools[pool.index()].depth as usize
    }

    /// What the pool lists for a dimension; `None` where it says nothing.
    #[must_use]
    pub fn listed(&self, pool: PoolId, dim: Dim) -> Option<&ResourceSpec> {
        let resources = &self.pools[pool.index()].resources;
        resources.binary_search_by_key(&dim, |&(dim, _)| dim).ok().map(|at| &resources[at].1)
    }

    /// All that a pool lists, sorted by dimension.
    #[must_use]
    pub fn resources(&self, pool: PoolId) -> &[(Dim, ResourceSpec)] {
        &self.pools[pool.index()].resources
    }

    /// What holds for a pool in a dimension: what it lists, or else the default.
    ///
    /// ```
    /// use weir_model::{Amount, Dimensions, PoolSpec, PoolTree, ResourceKind, ResourceSpec};
    /// let mut dims = Dimensions::new();
    /// let (cpu, gpu) = (dims.intern("cpu"), dims.intern("nvidia.com/gpu"));
    /// let eight = ResourceSpec { reservation: Amount::new(8), limit: None, share: 2, kind: ResourceKind::Elastic };
    /// let org = PoolSpec { name: "org".into(), parent: None, resources: vec![(gpu, eight)] };
    /// let (tree, _) = PoolTree::build(vec![org], &dims);
    /// let org = tree.find("org").unwrap();
    /// assert_eq!(tree.spec(org, gpu, &dims), eight);
    /// assert_eq!((tree.listed(org, cpu), tree.spec(org, cpu, &dims)), (None, ResourceSpec::unlisted(1)));
    /// assert!(tree.checks(org, cpu, &dims), "reservation 0 and no limit hold for it");
    /// ```
    #[must_use]
    pub fn spec(&self, pool: PoolId, dim: Dim, dims: &Dimensions) -> ResourceSpec {
        self.listed(pool, dim).copied().unwrap_or_else(|| ResourceSpec::unlisted(dims.default_share(dim)))
    }

    /// Whether a dimension is checked for a pool: always, except for CPU, memory and disk of GPU hosts where
    /// neither the pool nor an ancestor lists them.
    #[must_use]
    pub fn checks(&self, pool: PoolId, dim: Dim, dims: &Dimensions) -> bool {
        !dims.only_where_listed(dim) || self.path(pool).any(|pool| self.listed(pool, dim).is_some())
    }

    /// The pool itself, its parent, and so on up to the root.
    ///
    /// ```
    /// use weir_model::{Dimensions, PoolId, PoolSpec, PoolTree};
    /// # let pool = |name: &str, parent: Option<&str>| PoolSpec {
    /// #     name: name.into(), parent: parent.map(Into::into), resources: Vec::new(),
    /// # };
    /// let (tree, _) = PoolTree::build(vec![pool("org", None), pool("labs", Some("org"))], &Dimensions::new());
    /// let labs = tree.find("labs").unwrap();
    /// assert!(tree.path(labs).map(|pool| tree.name(pool)).eq(["labs", "org", ""]));
    /// ```
    pub fn path(&self, pool: PoolId) -> impl Iterator<Item = PoolId> + '_ {
        core::iter::successors(Some(pool), |&pool| self.parent(pool))
    }

    /// The number of pools, the root included; positions run from 0 to this.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pools.len()
    }

    /// Never: the root is always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    /// All pools, parents before children, the root first.
    ///
    /// ```
    /// use weir_model::{Dimensions, PoolId, PoolSpec, PoolTree};
    /// # let pool = |name: &str, parent: Option<&str>| PoolSpec {
    /// #     name: name.into(), parent: parent.map(Into::into), resources: Vec::new(),
    /// # };
    /// let (tree, _) = PoolTree::build(vec![pool("org", None), pool("labs", Some("org"))], &Dimensions::new());
    /// assert_eq!(tree.iter().map(|pool| pool.index()).collect::<Vec<_>>(), [0, 1, 2]);
    /// ```
    pub fn iter(&self) -> impl ExactSizeIterator<Item = PoolId> + DoubleEndedIterator + use<> {
        (0..self.pools.len()).map(PoolId::at)
    }
}

/// What is wrong with a pool that can be seen without the others.
fn check(spec: &PoolSpec, dims: &Dimensions) -> Option<PoolError> {
    if spec.name.is_empty() {
        return Some(PoolError::EmptyName);
    }
    let mut seen = BTreeSet::new();
    spec.resources.iter().find_map(|&(dim, ResourceSpec { reservation, limit, share: _, kind: _ })| {
        let (pool, resource) = (spec.name.clone(), dims.name(dim).into());
        if !seen.insert(dim) {
            return Some(PoolError::DuplicateResource { pool, resource });
        }
        let limit = limit.filter(|&limit| limit < reservation)?;
        Some(PoolError::LimitBelowReservation { pool, resource, reservation, limit })
    })
}

/// Why a pool that is left in `named` does not hang on the root.
fn orphan(spec: &PoolSpec, named: &BTreeMap<String, PoolSpec>) -> PoolError {
    let (pool, parent) = (spec.name.clone(), spec.parent.clone().unwrap_or_default());
    let mut above = Some(&parent);
    for _ in 0..named.len() {
        match above {
            Some(name) if *name == pool => return PoolError::Cycle { pool, parent },
            Some(name) => above = named.get(name).and_then(|spec| spec.parent.as_ref()),
            None => break,
        }
    }
    PoolError::MissingParent { pool, parent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn pool(name: &str, parent: &str) -> PoolSpec {
        PoolSpec { name: name.into(), parent: (!parent.is_empty()).then(|| parent.into()), resources: Vec::new() }
    }

    fn sentences(errors: &[PoolError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn siblings_are_neighbours_in_name_order_whatever_order_they_came_in() {
        let specs = vec![pool("b", ""), pool("a2", "a"), pool("a", ""), pool("a1", "a"), pool("b1", "b")];
        let mut reversed = specs.clone();
        reversed.reverse();
        let dims = Dimensions::new();
        let (tree, errors) = PoolTree::build(specs, &dims);
        assert_eq!(errors, []);
        let names: Vec<_> = tree.iter().map(|id| tree.name(id)).collect();
        assert_eq!(names, ["", "a", "b", "a1", "a2", "b1"]);
        assert_eq!(PoolTree::build(reversed, &dims).0, tree);
    }

    #[test]
    fn a_cycle_leaves_its_pools_out_and_the_rest_in() {
        // a → b → a; c hangs under the cycle; d is fine
        let specs = vec![pool("a", "b"), pool("b", "a"), pool("c", "a"), pool("d", "")];
        let (tree, errors) = PoolTree::build(specs, &Dimensions::new());
        assert_eq!(tree.len(), 2);
        assert!(tree.find("d").is_some());
        assert_eq!(
            sentences(&errors),
            [
                "pool \"a\", parent: \"b\" leads back to \"a\"; one of them must hang under another pool",
                "pool \"b\", parent: \"a\" leads back to \"b\"; one of them must hang under another pool",
                "pool \"c\", parent: \"a\" does not exist or is not valid; create it or name another",
            ]
        );
    }

    #[test]
    fn a_limit_below_the_reservation_names_the_field_and_both_numbers() {
        let mut dims = Dimensions::new();
        let mut wrong = pool("a", "");
        let spec =
            ResourceSpec { limit: Some(Amount::new(3)), reservation: Amount::new(4), ..ResourceSpec::unlisted(1) };
        wrong.resources.push((dims.intern("cpu"), spec));
        let (_, errors) = PoolTree::build(vec![wrong, pool("under", "a")], &dims);
        assert_eq!(
            sentences(&errors),
            [
                "pool \"a\", resources[cpu].limit: 3 is below the reservation 4; raise the limit or lower the reservation",
                "pool \"under\", parent: \"a\" does not exist or is not valid; create it or name another",
            ]
        );
    }

    #[test]
    fn a_second_pool_of_a_name_is_left_out() {
        let (tree, errors) = PoolTree::build(vec![pool("a", ""), pool("a", "")], &Dimensions::new());
        assert_eq!(tree.len(), 2);
        assert_eq!(errors, [PoolError::DuplicateName { pool: "a".into() }]);
    }

    #[test]
    fn cpu_of_gpu_hosts_is_checked_below_the_pool_that_lists_it() {
        let mut dims = Dimensions::new();
        let cores = dims.intern("gpu-hosts.weir.dev/cpu");
        let mut org = pool("org", "");
        org.resources.push((cores, ResourceSpec::unlisted(1)));
        let (tree, _) = PoolTree::build(vec![org, pool("team", "org"), pool("other", "")], &dims);
        let checked = ["org", "team", "other"].map(|name| tree.checks(tree.find(name).unwrap(), cores, &dims));
        assert_eq!(checked, [true, true, false]);
    }
}
