//! What a run is told on the command line.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::driver::scope::Scope;
use crate::scenario::timeline::Pace;
use crate::scenario::workload::{Wanted, Workload};

/// The part of the trace that is played.
#[derive(Args, Clone, Debug)]
pub(crate) struct TraceOptions {
    /// Nodes of the trace: a sample that keeps the proportions of models and sizes.
    #[arg(long, default_value_t = 1523)]
    nodes: usize,
    /// Pods of the trace: a sample that keeps the proportions of shapes.
    #[arg(long, default_value_t = 2000)]
    pods: usize,
    /// Seconds of the trace in one second; by default 50 pods come in a second.
    #[arg(long, value_parser = positive)]
    speed: Option<f64>,
    /// Chooses the sample.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// A node list of the openb format; by default openb's own.
    #[arg(long, value_name = "CSV")]
    node_list: Option<PathBuf>,
    /// A pod list of the openb format; by default openb's gpuspec33.
    #[arg(long, value_name = "CSV")]
    pod_list: Option<PathBuf>,
}

/// The options of `make run`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    trace: TraceOptions,
    /// Leave the cluster up at the end; `weir-demo down` ends it.
    #[arg(long)]
    pub(crate) keep: bool,
    /// The API server's port; by default a free one.
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// The scheduler's configuration, taken as it is; by default scheduler-config/weir.yaml with every module of the
    /// plugins' folder.
    #[arg(long, value_name = "YAML")]
    pub(crate) scheduler_config: Option<PathBuf>,
    /// The folder with the plugins' modules; by default where `make plugins` leaves them.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plugins: Option<PathBuf>,
    /// Replay the trace without the story that follows it.
    #[arg(long)]
    trace_only: bool,
    /// Add two RayJobs to the story, made by KubeRay's operator.
    #[arg(long, conflicts_with = "trace_only")]
    pub(crate) ray: bool,
    /// The file for the chart at the end; by default run.svg beside the folder of this program.
    #[arg(long, value_name = "SVG")]
    pub(crate) chart: Option<PathBuf>,
    /// How the result is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// How the result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// The live view and a summary; without a terminal plain lines, and a JSON document as the last.
    #[default]
    Text,
    /// One JSON document and nothing else; what goes on is told on standard error.
    Json,
}

impl RunOptions {
    /// Reads the part of the trace that is asked for.
    pub(crate) fn workload(&self) -> Result<Workload> {
        let TraceOptions { nodes, pods, speed, seed, node_list, pod_list } = self.trace.clone();
        let pace = Pace { speed };
        Workload::read(Wanted { node_file: node_list, pod_file: pod_list, nodes, pods, seed, pace })
    }

    /// What is played.
    pub(crate) const fn scope(&self) -> Scope {
        match (self.trace_only, self.ray) {
            (true, _) => Scope::TraceOnly,
            (false, true) => Scope::WithRay,
            (false, false) => Scope::TraceAndStory,
        }
    }
}

fn positive(text: &str) -> Result<f64> {
    match text.parse() {
        Ok(speed) if speed > 0.0 && f64::is_finite(speed) => Ok(speed),
        _ => bail!("a number of seconds above 0, for example 50000"),
    }
}
