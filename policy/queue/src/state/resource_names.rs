//! The resource names that exist: those that a node has or a pool lists (A2).
//!
//! A name that only pods ask for never becomes known. So a pod that invents ten thousand names costs what a pod
//! costs, and nothing of it stays when it is gone.

use std::collections::BTreeSet;

use weir_model::Dimensions;
use weir_model::dimension::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};

/// Names that exist in every cluster, whether or not a node is there yet.
const ALWAYS: [&str; 4] = [PODS, CPU, MEMORY, EPHEMERAL_STORAGE];

/// The resource names that exist, each with a position for the amounts on nodes.
#[derive(Debug)]
pub(crate) struct ResourceNames {
    positions: Dimensions,
    /// By position: how many nodes have it.
    nodes: Vec<u32>,
    /// The dimensions that pools list, by name.
    listed: BTreeSet<String>,
    /// How often a name began or ceased to exist.
    pub(crate) generation: u64,
}

impl ResourceNames {
    /// The names that exist in every cluster; `pods` has the position 0.
    pub(crate) fn new() -> Self {
        let mut positions = Dimensions::new();
        for name in ALWAYS {
            positions.intern(name);
        }
        Self { nodes: vec![0; positions.len()], positions, listed: BTreeSet::new(), generation: 0 }
    }

    /// The position of a name that exists, or did.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.positions.find(name).map(|dim| dim.index())
    }

    /// The name at a position.
    pub(crate) fn name(&self, position: usize) -> &str {
        self.positions.iter().nth(position).map_or("", |dim| self.positions.name(dim))
    }

    /// The position of a name that a node has.
    pub(crate) fn position(&mut self, name: &str) -> usize {
        let at = self.positions.intern(name).index();
        if self.nodes.len() <= at {
            self.nodes.resize(at + 1, 0);
        }
        at
    }

    /// Whether a name exists that counts in this dimension.
    pub(crate) fn exists(&self, name: &str, dimension: impl FnOnce() -> String) -> bool {
        let on_node = |at: usize| self.nodes.get(at).is_some_and(|&nodes| nodes > 0);
        ALWAYS.contains(&name) || self.find(name).is_some_and(on_node) || self.listed.contains(&dimension())
    }

    /// The position of a name that exists, or did; a name that only pools list gets one.
    pub(crate) fn position_of(&mut self, name: &str, dimension: impl FnOnce() -> String) -> Option<usize> {
        let listed = |names: &Self| names.listed.contains(&dimension());
        self.find(name).or_else(|| listed(self).then(|| self.position(name)))
    }

    /// Notes that a node has a name, or (`times` −1) has it no more.
    pub(crate) fn count_node(&mut self, name: &str, times: i8) {
        let at = self.position(name);
        let before = self.nodes[at];
        self.nodes[at] = before.saturating_add_signed(i32::from(times));
        self.generation += u64::from((before == 0) != (self.nodes[at] == 0));
    }

    /// Takes over which dimensions pools list.
    pub(crate) fn list(&mut self, listed: BTreeSet<String>) {
        if self.listed != listed {
            self.listed = listed;
            self.generation += 1;
        }
    }

    /// Whether a pool lists `pods`.
    pub(crate) fn counts_pods(&self) -> bool {
        self.listed.contains(PODS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_exists_while_a_node_has_it_or_a_pool_lists_its_dimension() {
        let mut names = ResourceNames::new();
        let exists = |names: &ResourceNames| names.exists("a/gpu", || "sku/a".to_owned());
        assert!(!exists(&names) && names.exists("cpu", String::new));
        names.count_node("a/gpu", 1);
        assert!(exists(&names) && names.generation == 1);
        names.count_node("a/gpu", -1);
        assert!(!exists(&names) && names.generation == 2);
        names.list(["sku/a".to_owned()].into());
        assert!(exists(&names));
        assert_eq!(names.position_of("b/gpu", || "sku/b".to_owned()), None, "asking makes no name");
    }
}
