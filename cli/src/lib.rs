//! The commands of `weir` and `kubectl weir`: one module for each, this file only routes.
//!
//! Both are one program, and so is `kubectl_complete-weir`; by which name it was called decides what it calls
//! itself.

mod age;
mod amounts;
mod break_glass;
mod cluster;
mod complete;
mod digest;
mod draw;
mod entitlement;
mod explain;
mod gangs;
mod plugin;
mod plugins;
mod pools;
mod queue;
mod simulate;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// Capacity of a shared Kubernetes cluster for Ray and other machine-learning work.
#[derive(Parser)]
#[command(name = "weir", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the tree of pools: reserved, entitled, used, demand, borrowed.
    Pools(pools::PoolsArgs),
    /// Show the pods and gangs that wait for admission, in order, and why.
    Queue(queue::QueueArgs),
    /// Explain why one pod or gang waits or runs, and what would have to change.
    Explain(explain::ExplainArgs),
    /// Release waiting pods by hand, with the sidecar down too.
    BreakGlass(break_glass::BreakGlassArgs),
    /// Show what the scheduler's replicas run, and give them other plugins.
    Plugins(plugins::PluginsArgs),
    /// Compute the entitlements of the pools that a file describes.
    Entitlement(entitlement::EntitlementArgs),
    /// Make a plugin ready for the scheduler.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
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
    let called = Called::now();
    if called == Called::KubectlComplete {
        let words: Vec<String> = std::env::args().skip(1).collect();
        print!("{}", complete::answer(&Cli::command(), &words));
        return ExitCode::SUCCESS;
    }
    // A wrong command line ends here, with clap's sentence and status 2.
    let matches = called.command().get_matches();
    let Cli { command } = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match command {
        Command::Pools(args) => ask(called, "pools", pools::run(&args)),
        Command::Queue(args) => ask(called, "queue", queue::run(&args)),
        Command::Explain(args) => ask(called, "explain", explain::run(&args)),
        Command::BreakGlass(args) => ask(called, "break-glass", break_glass::run(&args)),
        Command::Plugins(args) => ask(called, "plugins", plugins::run(&args)),
        Command::Entitlement(args) => entitlement::run(&args),
        Command::Plugin(command) => plugin::run(&command),
        Command::Simulate(command) => simulate::run(&command),
        Command::Completion { shell } => completion(shell, called),
    }
}

/// By which name the program was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Called {
    Weir,
    Kubectl,
    KubectlComplete,
}

impl Called {
    fn now() -> Self {
        let program = std::env::args_os().next().unwrap_or_default();
        Self::by(&Path::new(&program).file_stem().unwrap_or_default().to_string_lossy())
    }

    fn by(program: &str) -> Self {
        match program {
            "kubectl-weir" => Self::Kubectl,
            "kubectl_complete-weir" => Self::KubectlComplete,
            _ => Self::Weir,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::Kubectl | Self::KubectlComplete => "kubectl weir",
        }
    }

    /// The command line, calling itself what the user typed.
    fn command(self) -> clap::Command {
        Cli::command().name(self.word()).bin_name(self.word())
    }
}

/// Runs something that asks a cluster; what goes wrong is one sentence on stderr.
fn ask(called: Called, command: &str, work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(work)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} {command}: {error:#}", called.word());
            ExitCode::FAILURE
        }
    }
}

fn completion(shell: clap_complete::Shell, called: Called) -> ExitCode {
    // The shell completes what is typed as one word; kubectl asks `kubectl_complete-weir` for the other.
    let name = if called == Called::Weir { "weir" } else { "kubectl-weir" };
    clap_complete::generate(shell, &mut Cli::command(), name, &mut std::io::stdout());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_calls_itself_what_the_user_typed() {
        assert_eq!(
            ["weir", "kubectl-weir", "kubectl_complete-weir"].map(Called::by).map(Called::word),
            ["weir", "kubectl weir", "kubectl weir"]
        );
        let help = Called::Kubectl.command().render_usage().to_string();
        assert!(help.contains("kubectl weir <COMMAND>"), "{help}");
    }

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Called::Weir.command().debug_assert();
    }
}
