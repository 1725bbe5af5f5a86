//! Replays the arrivals of a trace in memory and measures how well a scoring policy packs the GPUs.
//!
//! Decides where each pod goes, by the filters and scores of `policy/placement` and by published policies to
//! compare them with. No pod departs and none waits: a pod that does not fit when it arrives is dropped.
//! That is the protocol of "Beware of Fragmentation" (USENIX ATC 2023), so the figures can be compared with
//! the published ones. Fractions of a GPU exist here although `nvidia.com/gpu` has none.
//!
//! | file | decides |
//! |---|---|
//! | [`workload`](self) | which pods arrive, in which order |
//! | `cluster` | what fits where, and what is left |
//! | `view` | how Weir's filters see a line of the trace |
//! | `policy` | which place is best |
//! | `replay` | one run of one policy |
//! | `report` | means over the seeds |

mod cluster;
mod policy;
mod replay;
mod report;
mod view;
mod workload;

pub use policy::{ParsePolicyError, Policy};
pub use report::{PolicyFigures, Report, Statistic};
pub use workload::Fractions;

pub(crate) use cluster::{Host, Want};
pub(crate) use policy::upstream_least_allocated;
pub(crate) use workload::{arrivals, below};

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use weir_placement::binpack::TypicalPodsError;

use crate::openb::{TraceNode, TracePod};
use replay::{Arena, Outcome};

/// The experiment: a cluster, pods and a load.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The cluster.
    pub nodes: Vec<TraceNode>,
    /// The pods that arrive, some of them again when the trace is too short for the load.
    pub pods: Vec<TracePod>,
    /// The GPUs that all pods ask for, in percent of the cluster's; at least 100.
    pub load_percent: u32,
    /// The seeds; each is one run. A seed decides order and choice of the pods, and chance among equal nodes.
    pub seeds: Vec<u64>,
    /// Which of the nodes with equal scores gets the pod.
    pub ties: Ties,
    /// Whether gpu-filter is on.
    pub gpu_filter: GpuFilter,
    /// The treatment of pods that ask for a part of a GPU.
    pub fractions: Fractions,
}

/// Which of the nodes with equal scores gets the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// Any node, as in kube-scheduler.
    Random,
    /// The first node by name, as in the published simulator.
    Name,
}

/// Whether GPU hosts and CPU hosts are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuFilter {
    /// Pods without GPUs may use GPU hosts.
    Off,
    /// GPU hosts are for pods that ask for GPUs.
    On,
}

/// The reason why nothing can be replayed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// No node has a GPU.
    #[error("nodes: none of them has a GPU; there is nothing to pack")]
    NoGpus,
    /// No pod asks for a GPU.
    #[error("pods: none of them asks for a GPU (of the kind that is left); there is nothing to pack")]
    NoDemand,
    /// Too low a load.
    #[error("load: {0} % is below 100 %, where the first figures are taken; ask for more")]
    LowLoad(u32),
    /// No run is asked for.
    #[error("seeds: name at least one")]
    NoSeed,
    /// The shapes of the pods cannot be used.
    #[error("pods: {0}")]
    Typical(#[from] TypicalPodsError),
}

/// Replays the trace for every policy and seed, on all cores, and sums up in the order of `policies`.
///
/// The result depends on the experiment alone: every policy sees the same pods in the same order, and how
/// the runs are divided among threads changes nothing.
///
/// # Errors
/// When the experiment leaves nothing to measure.
pub fn run(experiment: &Experiment, policies: &[Policy]) -> Result<Report, PackError> {
    let pods = workload::prepare(&experiment.pods, experiment.fractions);
    check(experiment, &pods)?;
    let arena = Arena::new(experiment, pods)?;
    let runs: Vec<_> =
        policies.iter().flat_map(|&policy| experiment.seeds.iter().map(move |&seed| (policy, seed))).collect();
    let outcomes = in_parallel(&runs, |&(policy, seed)| arena.replay(policy, seed));
    Ok(report::sum_up(policies, &outcomes, experiment.seeds.len()))
}

fn check(experiment: &Experiment, pods: &[TracePod]) -> Result<(), PackError> {
    if experiment.load_percent < 100 {
        return Err(PackError::LowLoad(experiment.load_percent));
    }
    if experiment.seeds.is_empty() {
        return Err(PackError::NoSeed);
    }
    if experiment.nodes.iter().all(|node| node.gpus == 0) {
        return Err(PackError::NoGpus);
    }
    if pods.iter().all(|pod| pod.gpus == 0) { Err(PackError::NoDemand) } else { Ok(()) }
}

/// Runs all jobs on as many threads as there are cores; the answers are in the order of the jobs.
fn in_parallel<J: Sync>(jobs: &[J], run: impl Fn(&J) -> Outcome + Sync) -> Vec<Outcome> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(jobs.len());
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(jobs.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let (at, Some(job)) = next_job(&next, jobs) {
                    let outcome = run(job);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|&(at, _)| at);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn next_job<'a, J>(next: &AtomicUsize, jobs: &'a [J]) -> (usize, Option<&'a J>) {
    let at = next.fetch_add(1, Ordering::Relaxed);
    (at, jobs.get(at))
}
