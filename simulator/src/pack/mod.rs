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
//! | `experiment` | what is replayed |
//! | `cluster` | what fits where, and what is left |
//! | `view` | how Weir's filters see a line of the trace |
//! | `policy` | which place is best |
//! | `replay` | one run of one policy |
//! | `report` | means over the seeds |

mod cluster;
mod experiment;
mod policy;
mod replay;
mod report;
mod view;
mod workload;

pub use experiment::{Experiment, GpuFilter, PackError, Ties};
pub use policy::{ParsePolicyError, Policy};
pub use report::{PolicyFigures, Report, Statistic};
pub use workload::Fractions;

pub(crate) use cluster::{Host, Want};
pub(crate) use policy::upstream_least_allocated;
pub(crate) use workload::{arrivals, below};

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::openb::TracePod;
use replay::{Arena, Outcome};

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
