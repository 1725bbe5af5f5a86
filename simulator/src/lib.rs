//! Traces of real clusters, and what-ifs on them through Weir's own policy code.
//!
//! This crate reads and samples traces and replays them in memory. It starts no cluster and knows no
//! Kubernetes client; `make run` replays the same traces on a real control plane.

pub mod openb;
pub mod pack;
pub mod spread;
