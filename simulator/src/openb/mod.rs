//! The openb trace: nodes and pods of a real GPU cluster, as CSV files.
//!
//! `traces/openb/README.md` says where the files come from. [`read_nodes`] and [`read_pods`] read them;
//! [`sample`] takes a part that looks like the whole.

mod read;
mod sample;
mod trace;

pub use read::{TraceError, read_nodes, read_pods};
pub use sample::sample;
pub use trace::{TraceNode, TracePod};

use std::path::PathBuf;

/// Where the trace lies in a checkout of this repository.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("traces/openb")
}
