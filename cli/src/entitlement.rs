//! `weir entitlement`: the entitlements of a tree of pools in a file. Needs no cluster.
//!
//! The JSON answer is in `answer`, the drawing in `view`; policy/entitlement reads the document and computes the
//! numbers.

mod answer;
mod view;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use weir_entitlement::{Document, Entitlements, entitle};

use crate::draw::Paint;

/// What `--help` shows after the options.
const EXAMPLE: &str = r#"The file holds one JSON document; all numbers are whole, in the resource's base unit (milli-CPU, bytes, devices):

  {
    "capacity": {"nvidia.com/gpu": 100},
    "pools": [
      {"name": "production", "resources": {"nvidia.com/gpu": {"reservation": 60}},
       "usage": {"nvidia.com/gpu": 20}, "nonPreemptibleUsage": {"nvidia.com/gpu": 10}},
      {"name": "labs", "resources": {"nvidia.com/gpu": {"reservation": 40, "limit": 90}}},
      {"name": "vision", "parent": "labs", "usage": {"nvidia.com/gpu": 30}, "demand": {"nvidia.com/gpu": 40}},
      {"name": "language", "parent": "labs", "resources": {"nvidia.com/gpu": {"reservation": 10, "share": 2}}}
    ]
  }

  reservation          what the pool is guaranteed (default 0)
  limit                what it may never exceed (default: none; not below the reservation)
  share                its weight when surplus is divided (default 1; 0 never borrows)
  kind                 "Elastic" lends what it does not use (default), "Static" keeps it
  usage                requests of admitted pods; only pools without children hold pods
  nonPreemptibleUsage  the part of the usage that may not be taken (default 0)
  demand               requests of waiting pods that only a larger entitlement is missing for

Exit status: 0, or 2 when the file cannot be used, with one sentence on stderr that names the field."#;

/// What the command is told.
#[derive(Args)]
#[command(after_long_help = EXAMPLE)]
pub(crate) struct EntitlementArgs {
    /// The file with the capacity and the pools, - for standard input (--help shows an example)
    #[arg(long, value_name = "FILE")]
    tree: PathBuf,
    /// How to answer
    #[arg(short, long, value_enum, default_value_t = Format::Tree)]
    output: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// The tree with bars, what each pool borrows from which, and what holds it back
    Tree,
    /// One JSON document with every number
    Json,
}

/// Answers on stdout; 2 with a sentence on stderr when the file cannot be used.
pub(crate) fn run(args: &EntitlementArgs) -> ExitCode {
    let document = match load(&args.tree).and_then(|text| Document::read(&text).map_err(|error| error.to_string())) {
        Ok(document) => document,
        Err(sentence) => {
            eprintln!("weir entitlement: {sentence}");
            return ExitCode::from(2);
        }
    };
    let entitlements = entitle(&document.tree, &document.dims, &document.input);
    let mut stdout = io::stdout().lock();
    let written = match args.output {
        Format::Json => write_json(&mut stdout, &document, &entitlements),
        Format::Tree => write!(stdout, "{}", view::draw(&document, &entitlements, Paint::of_stdout())),
    };
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("weir entitlement: the answer could not be written: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn load(path: &Path) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    if path == Path::new("-") {
        io::stdin().read_to_end(&mut text).map_err(|error| format!("standard input: {error}"))?;
    } else {
        text = std::fs::read(path).map_err(|error| format!("--tree {}: {error}", path.display()))?;
    }
    Ok(text)
}

fn write_json(out: &mut impl Write, document: &Document, entitlements: &Entitlements) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &answer::Answer::new(document, entitlements))?;
    writeln!(out)
}

#[cfg(test)]
mod tests;
