//! Builds everything that runs on this machine: the programs in Rust, the plugins, and the Go programs that a local
//! cluster is made of, Rust and Go at the same time.
//!
//! [`STEPS`] lists what can be built and how; [`run`] runs what a command asks for, one line for each step.
//! A program that starts a cluster calls [`find_programs`] alone. Children end with this process, however it ends.

mod checkout;
mod children;
mod go_module;
mod program;
mod progress;
mod steps;

pub use checkout::Checkout;
pub use program::{Program, find_programs};
pub use progress::Progress;
pub use steps::{STEPS, Step, run};
