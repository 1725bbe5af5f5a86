//! [`ClusterState`]: the cluster as the watch told it last.
//!
//! The watch is the only source: what this program believes to have created or the scheduler to have bound counts for
//! nothing until the API server says so. The state holds the newest of each node, pod and pool and nothing else;
//! everything that is shown or decided on ([`levels`], [`hosts`], [`queue`] and the others) is worked out from it when
//! it is asked for. What happened over time is not here but in [`run_state`](crate::run_state).
//!
//! The judge does not read this: it takes in the watch itself.

pub mod change;
pub mod eviction;
pub mod free;
pub mod hosts;
pub mod levels;
pub mod node;
pub mod pod;
pub mod pool;
pub mod pool_tree;
pub mod progress;
pub mod queue;
pub mod read;
pub mod refusal;
mod state;

pub use change::{Change, News, What};
pub use state::ClusterState;
