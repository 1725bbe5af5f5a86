//! `weir simulate`: what-ifs on a trace, in memory. Needs no cluster.
//!
//! These files read arguments and write answers; the crate `weir-simulator` plays the trace.

mod arguments;
mod pack;
mod spread;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use arguments::Format;

/// The experiments.
#[derive(Subcommand)]
pub(crate) enum SimulateCommand {
    /// How well scoring policies pack the GPUs of a trace
    Pack(pack::PackArgs),
    /// How evenly policies use the CPU nodes of a trace
    Spread(spread::SpreadArgs),
}

/// Answers on stdout; 2 with a sentence on stderr when the input cannot be used.
pub(crate) fn run(command: &SimulateCommand) -> ExitCode {
    match command {
        SimulateCommand::Pack(args) => answer("weir simulate pack", args.output(), pack::run(args), pack::table),
        SimulateCommand::Spread(args) => {
            answer("weir simulate spread", args.output(), spread::run(args), spread::table)
        }
    }
}

/// Writes what came out, as JSON or drawn by `table`.
fn answer<T: Serialize, E: Display>(
    command: &str,
    format: Format,
    result: Result<T, E>,
    table: fn(&T) -> String,
) -> ExitCode {
    let report = match result {
        Ok(report) => report,
        Err(sentence) => {
            eprintln!("{command}: {sentence}");
            return ExitCode::from(2);
        }
    };
    let text = match format {
        Format::Json => serde_json::to_string_pretty(&report).map(|json| json + "\n").map_err(io::Error::from),
        Format::Table => Ok(table(&report)),
    };
    let mut stdout = io::stdout().lock();
    match text.and_then(|text| stdout.write_all(text.as_bytes())).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("{command}: the answer could not be written: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
