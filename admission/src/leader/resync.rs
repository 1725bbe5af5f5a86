//! Why a leader lists the cluster again.

use std::fmt;

use super::watch_state::read_by::Source;
use crate::convert::hosts::ModelLabel;

/// Why a term ends although this replica still holds the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resync {
    /// Something changed that pods were read by.
    ReadBy(Source),
    /// A silent node is to be excluded from now on.
    SilentNode(String),
    /// A node has a GPU model that was unknown when pods waited for one.
    NewModel(ModelLabel),
    /// Shapes and requests of pods that are gone take too much room.
    Interned,
}

impl fmt::Display for Resync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadBy(source) => write!(f, "{source}"),
            Self::SilentNode(node) => write!(f, "node {node} was silent for too long and is excluded"),
            Self::NewModel(label) => write!(f, "a node has the GPU model {label}, which was unknown"),
            Self::Interned => f.write_str("shapes of pods that are gone take too much memory"),
        }
    }
}
