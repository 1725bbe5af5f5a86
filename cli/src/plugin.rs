//! `weir plugin`: what an author of plugins does without a cluster.
//!
//! Reads and writes files; what packing is, `packer/` says.

mod pack;

use std::process::ExitCode;

use clap::Subcommand;

/// What to do.
#[derive(Subcommand)]
pub(crate) enum PluginCommand {
    /// Bound what a module may compute and allocate; the scheduler refuses one that is not packed.
    Pack(pack::PackArgs),
}

pub(crate) fn run(command: &PluginCommand) -> ExitCode {
    match command {
        PluginCommand::Pack(args) => pack::run(args),
    }
}
