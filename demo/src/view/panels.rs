//! The panels: each shows one part of the run in the place that it is given.

mod admission;
mod log;
mod steps;
mod tables;
mod usage;

pub(super) use admission::{Queue, pools, queue};
pub(super) use log::{feed, setup_steps};
pub(super) use steps::steps;
pub(super) use tables::{models, plugins, refusals};
pub(super) use usage::{cpus, gpus};
