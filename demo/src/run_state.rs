//! [`RunState`]: a run as it was told so far, and what is shown of it.
//!
//! The cluster as it is now is one part of it ([`ClusterState`](crate::cluster_state::ClusterState)); the others hold
//! what happened over time: counts, the feed, the chart's samples, the steps of the story. Nothing here asks a cluster
//! or reads a clock: each event comes with the time since the run began. What is *wrong* in a history is judged by
//! [`weir_checker`] and only listed here.

pub mod clock;
pub mod counts;
pub mod event;
pub mod evictions;
pub mod feed;
pub mod history;
pub mod rate;
mod rays;
pub mod setup;
mod state;
pub mod steps;
pub mod totals;

#[cfg(test)]
mod tests;

pub use clock::Phase;
pub use event::Event;
pub use state::RunState;
