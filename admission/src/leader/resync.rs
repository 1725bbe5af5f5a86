//! Why a leader lists the cluster again.

use std::fmt;

/// Why a term ends although this replica still holds the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resync {
    /// The list of special hardware in force is another, and with it the class of any pod and node may be.
    SpecialHardware,
}

impl Resync {
    /// The reason as a label of metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::SpecialHardware => "SpecialHardware",
        }
    }
}

impl fmt::Display for Resync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SpecialHardware => "the list of special hardware in force is another",
        })
    }
}
