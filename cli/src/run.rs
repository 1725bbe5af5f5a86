//! `make run`: a real GPU cluster's workload on a cluster of processes, told while it happens.
//!
//! Most parts are pure: they are told what happened and when, and say what to show, so each is tested
//! without a cluster. Only [`command`] and what it calls touch something outside: [`driver`] the cluster,
//! [`view::Screen`] the terminal.

mod cluster_state;
pub mod command;
mod completion;
mod driver;
#[cfg(test)]
mod example;
pub mod format;
mod install;
mod load;
pub mod metrics;
mod objects;
mod observe;
pub mod pools;
mod profile;
pub mod report;
mod roles;
pub mod run_state;
mod timeline;
pub mod view;
mod workload;
