//! `weir-demo`: what `make run` runs. A real GPU cluster's workload on a control plane of processes, shown and judged
//! while it happens.
//!
//! Most parts are pure: they are told what happened and when, and say what to show, so each is tested without a
//! cluster. Only [`command`] and what it calls touch something outside: [`driver`] the cluster, [`view::Screen`] the
//! terminal.

mod cluster_state;
pub mod command;
mod completion;
mod down;
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
mod setup;
mod timeline;
pub mod view;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A real GPU cluster's workload on an upstream kube-scheduler with WebAssembly plugins, to watch.
#[derive(Parser)]
#[command(name = "weir-demo", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    run: command::RunArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Find or build the programs that a run starts.
    Setup(setup::SetupArgs),
    /// End the clusters that --keep left up.
    Down,
}

/// Runs the command line and says how it went: 0 done, 1 failed or a promise was broken, 2 bad input, 130 stopped.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { run, command } = Cli::parse();
    match command {
        None => command::main(run),
        Some(Command::Setup(arguments)) => setup::main(&arguments),
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
