//! `weir-demo`: what `make run` runs. A real GPU cluster's workload on a control plane of processes, shown and judged
//! while it happens.
//!
//! | part | what it does |
//! |---|---|
//! | [`scenario`] | what is played: the trace's pods, their pools, the roles of the story |
//! | `driver` | plays it on a control plane, and watches |
//! | [`cluster_state`] | the cluster as the watch told it last |
//! | [`run_state`] | the run as it was told so far: counts, feed, chart, steps |
//! | [`view`], [`report`] | show it: the live view, plain lines, a summary, one JSON document, a picture |
//!
//! All but `driver` are pure: they are told what happened and when, so each is tested without a cluster. The judge
//! ([`weir_checker`]) reads the same watch by itself.

pub mod cluster_state;
mod display;
mod down;
mod driver;
#[cfg(test)]
mod example;
pub mod format;
pub mod metrics;
mod options;
pub mod report;
mod run;
pub mod run_state;
pub mod scenario;
mod time;
pub mod view;

pub use time::At;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A real GPU cluster's workload on an upstream kube-scheduler with WebAssembly plugins, to watch.
#[derive(Parser)]
#[command(name = "weir-demo", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    run: options::RunOptions,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// End the clusters that --keep left up.
    Down,
}

/// Runs the command line and says how it went: 0 done, 1 failed or a promise was broken, 2 bad input, 130 stopped.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { run, command } = Cli::parse();
    match command {
        None => run::main(run),
        Some(Command::Down) => down::main(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}
