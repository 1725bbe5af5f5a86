//! The tree of pools, in the order in which it is drawn.

use super::pool::PoolState;
use super::state::ClusterState;

/// A pool in the tree as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRow<'a> {
    /// 0 right under the cluster.
    pub depth: usize,
    /// Whether it is the last among its siblings.
    pub last: bool,
    /// Its figures.
    pub figures: &'a PoolState,
}

/// Every pool, depth first, siblings by name; none where nothing divides the cluster. A pool whose parent is not known
/// stands at the top; pools that lead round in a circle are left out.
#[must_use]
pub fn rows(cluster: &ClusterState) -> Vec<PoolRow<'_>> {
    let children = |parent: Option<&str>| -> Vec<&PoolState> {
        let hangs = |pool: &&PoolState| match (parent, pool.parent.as_deref()) {
            (None, Some(above)) => cluster.pool(above).is_none(),
            (parent, above) => parent == above,
        };
        cluster.pools().filter(hangs).collect()
    };
    let (mut rows, mut open) = (Vec::new(), vec![children(None).into_iter()]);
    while let Some(level) = open.last_mut() {
        let Some(figures) = level.next() else {
            open.pop();
            continue;
        };
        let last = level.len() == 0;
        rows.push(PoolRow { depth: open.len() - 1, last, figures });
        open.push(children(Some(&figures.name)).into_iter());
    }
    rows
}

/// A pool and its ancestors, upwards, as far as they are known. A circle ends where it closes.
#[must_use]
pub fn path<'a>(cluster: &'a ClusterState, pool: &'a str) -> Vec<&'a str> {
    let mut path = Vec::new();
    let mut next = Some(pool);
    while let Some(name) = next.filter(|name| !path.contains(name)) {
        path.push(name);
        next = cluster.pool(name).and_then(|pool| pool.parent.as_deref());
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{pool, seen};

    #[test]
    fn the_tree_is_in_the_order_in_which_it_is_drawn_whatever_the_order_it_was_told_in() {
        let parents = [
            ("b-2", Some("b")),
            ("lost", Some("gone")),
            ("a", None),
            ("b-1", Some("b")),
            ("b", None),
            ("round", Some("circle")),
            ("circle", Some("round")),
        ];
        let cluster = seen(parents.map(|(name, parent)| pool(name, parent, [0; 4])));
        let rows: Vec<_> =
            rows(&cluster).into_iter().map(|row| (row.depth, row.figures.name.as_str(), row.last)).collect();
        assert_eq!(rows, [(0, "a", false), (0, "b", false), (1, "b-1", false), (1, "b-2", true), (0, "lost", true)]);
        assert_eq!(path(&cluster, "b-2"), ["b-2", "b"]);
        assert_eq!(path(&cluster, "round"), ["round", "circle"]);
        assert_eq!(path(&cluster, "lost"), ["lost", "gone"]);
    }
}
