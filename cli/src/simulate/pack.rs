//! `weir simulate pack`: how well scoring policies pack the GPUs of a trace.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use weir_simulator::openb::{self, TraceError};
use weir_simulator::pack::{self, Experiment, Fractions, GpuFilter, PackError, Policy, PolicyFigures, Report, Ties};

use super::arguments::{Format, cell, load, seeds};

/// What `--help` shows after the options.
const MEANING: &str =
    "The protocol is that of \"Beware of Fragmentation\" (USENIX ATC 2023): the pods of the trace come \
one by one, shuffled by the seed and then drawn again until they have asked for LOAD times the GPUs that there are; \
nothing departs, and a pod that does not fit is dropped.

  FragmentationAware      ours, as the scheduler runs it: 100 x fragmentation score + 1 x UpstreamMostAllocated
  MostAllocated           ours: the fullest GPUs
  UpstreamMostAllocated   NodeResourcesFit, MostAllocated on the GPUs alone (0 for pods without GPUs)
  UpstreamLeastAllocated  NodeResourcesFit as it comes: LeastAllocated on CPU and memory
  FGD, BestFit, DotProd, Clustering, Packing, Random
                          as published; published figures are with --ties name

Exit status: 0, or 2 when the input cannot be used, with one sentence on stderr that names the field.";

/// What the command is told.
#[derive(Args)]
#[command(after_long_help = MEANING)]
pub(crate) struct PackArgs {
    /// The nodes: CSV with sn, cpu_milli, memory_mib, gpu and, if there, model
    #[arg(long, value_name = "CSV")]
    nodes: PathBuf,
    /// The pods: CSV with name, cpu_milli, memory_mib, num_gpu, gpu_milli and, if there, gpu_spec
    #[arg(long, value_name = "CSV")]
    pods: PathBuf,
    /// The policies to compare; all of them if none is named
    #[arg(long = "policy", value_name = "NAME", num_args = 1..)]
    policies: Vec<Policy>,
    /// GPUs asked for, in times what there is
    #[arg(long, value_name = "TIMES", default_value = "1.3", value_parser = load)]
    load: u32,
    /// One run for each
    #[arg(long, value_name = "FIRST..LAST", default_value = "42..51", value_parser = seeds)]
    seeds: RangeInclusive<u64>,
    /// Which of several nodes with equal scores gets the pod
    #[arg(long, value_enum, default_value_t = TieBreak::Random)]
    ties: TieBreak,
    /// Keep pods that ask for no GPU off GPU hosts
    #[arg(long)]
    gpu_filter: bool,
    /// Leave out pods that ask for a part of a GPU
    #[arg(long, conflicts_with = "round_up_gpu")]
    whole_gpu: bool,
    /// Give a whole GPU to pods that ask for a part of one
    #[arg(long)]
    round_up_gpu: bool,
    /// How to answer
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Which of several nodes with equal scores gets the pod.
#[derive(Clone, Copy, ValueEnum)]
enum TieBreak {
    /// Any of them, as in kube-scheduler
    Random,
    /// The first by name, as in the published simulator
    Name,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("--nodes {0}")]
    Nodes(TraceError),
    #[error("--pods {0}")]
    Pods(TraceError),
    #[error(transparent)]
    Pack(#[from] PackError),
}

impl PackArgs {
    pub(super) fn output(&self) -> Format {
        self.output
    }

    fn experiment(&self) -> Result<Experiment, Error> {
        Ok(Experiment {
            nodes: openb::read_nodes(&self.nodes).map_err(Error::Nodes)?,
            pods: openb::read_pods(&self.pods).map_err(Error::Pods)?,
            load_percent: self.load,
            seeds: self.seeds.clone().collect(),
            ties: match self.ties {
                TieBreak::Random => Ties::Random,
                TieBreak::Name => Ties::Name,
            },
            gpu_filter: if self.gpu_filter { GpuFilter::On } else { GpuFilter::Off },
            fractions: match (self.whole_gpu, self.round_up_gpu) {
                (true, _) => Fractions::Drop,
                (false, true) => Fractions::RoundUp,
                (false, false) => Fractions::Keep,
            },
        })
    }
}

/// Replays the trace.
pub(super) fn run(args: &PackArgs) -> Result<Report, Error> {
    let mut policies = if args.policies.is_empty() { Policy::ALL.to_vec() } else { args.policies.clone() };
    let mut seen = Vec::new();
    policies.retain(|policy| {
        !seen.contains(policy) && {
            seen.push(*policy);
            true
        }
    });
    Ok(pack::run(&args.experiment()?, &policies)?)
}

/// One line for each policy, the figures with their deviations over the seeds.
pub(super) fn table(report: &Report) -> String {
    let mut text = format!(
        "{:<22}  {:>15}  {:>15}  {:>15}  {:>15}  {:>15}\n{:<22}  {:>15}  {:>15}  {:>15}  {:>15}  {:>15}\n",
        "",
        "GPUs in use",
        "GPUs in use",
        "8-GPU pods",
        "idle 8-GPU",
        "of idle GPUs",
        "",
        "at 100 %, %",
        "at the end, %",
        "refused, %",
        "hosts at 50 %",
        "useless, %",
    );
    for (policy, figures) in &report.policies {
        let PolicyFigures {
            gpu_allocation_at_100,
            gpu_allocation_at_load,
            refused_8gpu_share,
            empty_8gpu_nodes_at_50,
            fragmentation_ratio_at_100,
        } = figures;
        let columns = [
            gpu_allocation_at_100,
            gpu_allocation_at_load,
            refused_8gpu_share,
            empty_8gpu_nodes_at_50,
            fragmentation_ratio_at_100,
        ];
        let columns = columns.map(cell).join("  ");
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{:<22}  {columns}", policy.name());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::path::Path;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: PackArgs,
    }

    /// The arguments of a line; the trace is a handful of nodes and pods.
    fn args(folder: &Path, line: &str) -> Result<PackArgs, clap::Error> {
        let (nodes, pods) = (folder.join("nodes.csv"), folder.join("pods.csv"));
        std::fs::write(&nodes, "sn,cpu_milli,memory_mib,gpu\na,64000,65536,8\nb,64000,65536,8\n").unwrap();
        std::fs::write(&pods, "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1000,1024,1,1000\nq,1000,1024,1,500\n")
            .unwrap();
        let files = ["pack".into(), "--nodes".into(), nodes.into_os_string(), "--pods".into(), pods.into_os_string()];
        let line = files.into_iter().chain(line.split_whitespace().map(Into::into));
        Line::try_parse_from(line).map(|line| line.args)
    }

    fn json(line: &str) -> serde_json::Value {
        let folder = tempfile::tempdir().unwrap();
        serde_json::to_value(run(&args(folder.path(), line).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn the_answer_has_every_figure_of_every_policy() {
        let answer = json("--policy MostAllocated FGD --policy MostAllocated --whole-gpu --seeds 1..4 --load 1");
        let none = serde_json::json!({"mean": null, "sd": null, "n": 0});
        let all = |mean: f64| serde_json::json!({"mean": mean, "sd": 0.0, "n": 4});
        assert_eq!(answer.as_object().unwrap().len(), 1);
        assert_eq!(answer["policies"].as_object().unwrap().len(), 2);
        // Pods with one GPU each fill both hosts, one after the other.
        assert_eq!(
            answer["policies"]["MostAllocated"],
            serde_json::json!({
                "gpu_allocation_at_100": all(100.0),
                "gpu_allocation_at_load": all(100.0),
                "refused_8gpu_share": none,
                "empty_8gpu_nodes_at_50": all(1.0),
                "fragmentation_ratio_at_100": none,
            })
        );
    }

    #[test]
    fn the_table_has_a_line_for_each_policy_with_mean_and_deviation() {
        let folder = tempfile::tempdir().unwrap();
        let report = run(&args(folder.path(), "--policy Random --round-up-gpu --seeds 3 --load 1").unwrap()).unwrap();
        let lines: Vec<_> = table(&report).lines().map(ToOwned::to_owned).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()), "{lines:#?}");
        assert!(
            lines[2].starts_with("Random                   100.00 ±  0.00   100.00 ±  0.00             none"),
            "{lines:#?}"
        );
    }

    #[test]
    fn without_names_all_policies_are_compared() {
        assert_eq!(json("--seeds 1")["policies"].as_object().unwrap().len(), 10);
    }

    #[test]
    fn bad_input_names_the_field() {
        let folder = tempfile::tempdir().unwrap();
        let mut missing = args(folder.path(), "").unwrap();
        missing.nodes = "does-not-exist.csv".into();
        let said = run(&missing).unwrap_err().to_string();
        assert!(said.starts_with("--nodes does-not-exist.csv: cannot be read: "), "{said}");
        for line in ["--whole-gpu --round-up-gpu", "--load 0.5", "--seeds 3..1", "--policy Best", "--ties coin"] {
            assert!(args(folder.path(), line).is_err(), "{line}");
        }
    }
}
