//! The commands of `weir` and `kubectl weir`: one module for each, this file only routes.

mod down;
mod entitlement;
pub mod run;
mod setup;
mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Capacity of a shared Kubernetes cluster for Ray and other machine-learning work.
#[derive(Parser)]
#[command(name = "weir", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a real GPU cluster's workload on a cluster of processes, and watch it.
    Run(run::command::RunArgs),
    /// End the clusters that `weir run --keep` left up.
    Down,
    /// Find or build the programs that `weir run` starts.
    Setup(setup::SetupArgs),
    /// Compute who may use how much of a cluster that a file describes.
    Entitlement(entitlement::EntitlementArgs),
    /// Try a what-if on a trace, in memory.
    #[command(subcommand)]
    Simulate(simulate::SimulateCommand),
    /// Print shell completion for this command.
    Completion {
        /// The shell to write for.
        shell: clap_complete::Shell,
    },
}

/// Runs the command line and says how it went: 0 done, 1 failed, 2 bad input.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(arguments) => run::command::main(arguments),
        Command::Down => down::main(),
        Command::Setup(arguments) => setup::main(&arguments),
        Command::Entitlement(args) => entitlement::run(&args),
        Command::Simulate(command) => simulate::run(&command),
        Command::Completion { shell } => completion(shell),
    }
}

fn completion(shell: clap_complete::Shell) -> ExitCode {
    let mut command = <Cli as clap::CommandFactory>::command();
    clap_complete::generate(shell, &mut command, "weir", &mut std::io::stdout());
    ExitCode::SUCCESS
}
