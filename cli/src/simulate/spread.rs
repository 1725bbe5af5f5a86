//! `weir simulate spread`: how evenly the CPU nodes of a trace are used.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, value_parser};
use weir_placement::load::LoadSettings;
use weir_simulator::openb::{self, TraceError};
use weir_simulator::pack::Statistic;
use weir_simulator::spread::{self, SpreadError, SpreadExperiment, SpreadFigures, SpreadReport};

use super::arguments::{Format, cell, seeds};

/// What `--help` shows after the options.
const MEANING: &str =
    "Pods without GPUs come one by one to the nodes without GPUs, shuffled by the seed, until so much \
CPU is requested; nothing departs. The trace does not say what a pod uses, so the use is simulated from the seed: pods \
of one shape are one application that uses 10 to 90 % of its request, each pod within 30 % of that; 1 to 5 % of each \
node is the system's. Samples are within 10 % of the truth and as old as --sample-every says.

Exit status: 0, or 2 when the input cannot be used, with one sentence on stderr that names the field.";

/// What the command is told.
#[derive(Args)]
#[command(after_long_help = MEANING)]
pub(crate) struct SpreadArgs {
    /// The nodes: CSV with sn, cpu_milli, memory_mib, gpu; those with GPUs are left out
    #[arg(long, value_name = "CSV")]
    nodes: PathBuf,
    /// The pods: CSV with name, cpu_milli, memory_mib, num_gpu, gpu_milli; those with GPUs are left out
    #[arg(long, value_name = "CSV")]
    pods: PathBuf,
    /// When to measure: CPU requested, in percent of what there is
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = value_parser!(u32).range(1..=100))]
    requested: u32,
    /// One run for each
    #[arg(long, value_name = "FIRST..LAST", default_value = "42..51", value_parser = seeds)]
    seeds: RangeInclusive<u64>,
    /// How many pods come between two samples of the nodes
    #[arg(long, value_name = "PODS", default_value_t = 30, value_parser = value_parser!(u32).range(1..))]
    sample_every: u32,
    /// How to answer
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("--nodes {0}")]
    Nodes(TraceError),
    #[error("--pods {0}")]
    Pods(TraceError),
    #[error(transparent)]
    Spread(#[from] SpreadError),
}

impl SpreadArgs {
    pub(super) fn output(&self) -> Format {
        self.output
    }
}

/// Places the pods with each policy.
pub(super) fn run(args: &SpreadArgs) -> Result<SpreadReport, Error> {
    let experiment = SpreadExperiment {
        nodes: openb::read_nodes(&args.nodes).map_err(Error::Nodes)?,
        pods: openb::read_pods(&args.pods).map_err(Error::Pods)?,
        requested_percent: args.requested,
        seeds: args.seeds.clone().collect(),
        sample_every: usize::try_from(args.sample_every).unwrap_or(usize::MAX),
        settings: LoadSettings::default(),
    };
    Ok(spread::run(&experiment)?)
}

/// One line for each policy, and how ours compares.
pub(super) fn table(report: &SpreadReport) -> String {
    let SpreadReport { policies, deviation_ratio } = report;
    let mut text = format!(
        "{:<23} {:>15}  {:>15}  {:>15}  {:>15}\n",
        "simulated use, % of CPU", "deviation", "busiest node", "all together", "of requests"
    );
    for (policy, figures) in policies {
        let SpreadFigures { used_deviation, used_max, used_total, requested_deviation } = figures;
        let columns = [used_deviation, used_max, used_total, requested_deviation].map(cell).join("  ");
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{:<23} {columns}", policy.name());
    }
    let Statistic { mean, sd, n: _ } = deviation_ratio;
    if let (Some(mean), Some(sd)) = (mean, sd) {
        let _ = writeln!(text, "\nLoadAware's deviation is {mean:.2} ± {sd:.2} of UpstreamLeastAllocated's");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::ffi::OsString;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SpreadArgs,
    }

    fn args(line: &str) -> Result<SpreadArgs, clap::Error> {
        let (nodes, pods) = ("openb_node_list_all_node.csv", "openb_pod_list_default.csv");
        let files: [[OsString; 2]; 2] =
            [("--nodes", nodes), ("--pods", pods)].map(|(name, file)| [name.into(), openb::folder().join(file).into()]);
        let line = line.split_whitespace().map(OsString::from);
        Line::try_parse_from(std::iter::once(OsString::from("spread")).chain(files.into_iter().flatten()).chain(line))
            .map(|line| line.args)
    }

    #[test]
    fn the_answer_has_every_policy_and_the_ratio() {
        let report = run(&args("--seeds 1..2 --requested 20").unwrap()).unwrap();
        let answer = serde_json::to_value(&report).unwrap();
        assert_eq!(answer["deviation_ratio"]["n"], 2);
        let policies: Vec<_> = answer["policies"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(policies, ["LoadAware", "Random", "UpstreamLeastAllocated"]);
        let table = table(&report);
        let widths: Vec<_> = table.lines().take(4).map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
        assert!(table.lines().last().unwrap().starts_with("LoadAware's deviation is "), "{table}");
    }

    #[test]
    fn bad_input_names_the_field() {
        let mut missing = args("").unwrap();
        missing.pods = "does-not-exist.csv".into();
        let said = run(&missing).unwrap_err().to_string();
        assert!(said.starts_with("--pods does-not-exist.csv: cannot be read: "), "{said}");
        for line in ["--requested 0", "--requested 101", "--sample-every 0", "--seeds x"] {
            assert!(args(line).is_err(), "{line}");
        }
    }
}
