//! Places the pods without GPUs of a trace on its CPU nodes and measures how evenly the nodes are used.
//!
//! Decides what a pod really uses and what a node's agent reports of it. `policy/placement`'s load-aware score decides
//! where a pod goes; upstream's LeastAllocated and chance are there to compare with.
//!
//! The trace says what pods request and not what they use, so the use is **simulated**:
//!
//! - all pods of one shape (cores and memory) are taken for one application, which uses 10 to 90 % of what it
//!   requests, evenly distributed over the applications; each pod is within 30 % of its application's use;
//! - the system uses 1 to 5 % of each node besides;
//! - nodes are sampled once in so many arrivals, each sample within 10 % of the truth; in between, a policy
//!   knows only the requests that were placed since.
//!
//! All of it follows from the seed and is the same for every policy. Nothing departs.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::Serialize;
use weir_model::{Amount, Class};
use weir_placement::load::{LoadSettings, NodeLoad, Occupancy, PodLoad, Sample};

use crate::openb::{TraceNode, TracePod};
use crate::pack::{Host, Statistic, Want, arrivals, below, upstream_least_allocated};

/// The use of an application, in thousandths of what it requests, and the width of each deviation from it.
const APPLICATION_PERMILLE: (i64, i64) = (100, 900);
const POD_DEVIATION_PERMILLE: i64 = 300;
const SAMPLE_DEVIATION_PERMILLE: i64 = 100;
/// The system's use of a node, in thousandths.
const SYSTEM_PERMILLE: (i64, i64) = (10, 50);
const MIB: i64 = 1 << 20;

/// The experiment: nodes, pods and policies.
#[derive(Clone, Debug)]
pub struct SpreadExperiment {
    /// The nodes; those with GPUs are left out.
    pub nodes: Vec<TraceNode>,
    /// The pods; those that ask for GPUs are left out.
    pub pods: Vec<TracePod>,
    /// The points to measure at: cores requested, in percent of the cores that the nodes have; 1 to 100.
    pub requested_percent: u32,
    /// The seeds; each is one run.
    pub seeds: Vec<u64>,
    /// How many pods arrive between two samples; 0 counts as 1.
    pub sample_every: usize,
    /// The settings of the load-aware score.
    pub settings: LoadSettings,
}

/// How a node is chosen among those that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpreadPolicy {
    /// Weir's load-aware score.
    LoadAware,
    /// NodeResourcesFit as kube-scheduler comes: LeastAllocated on CPU and memory, by requests.
    UpstreamLeastAllocated,
    /// Any node, by chance.
    Random,
}

impl SpreadPolicy {
    /// All policies, Weir's first.
    pub const ALL: [Self; 3] = [Self::LoadAware, Self::UpstreamLeastAllocated, Self::Random];

    /// The name in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoadAware => "LoadAware",
            Self::UpstreamLeastAllocated => "UpstreamLeastAllocated",
            Self::Random => "Random",
        }
    }
}

/// The results of all policies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpreadReport {
    /// By policy.
    #[serde(serialize_with = "as_map")]
    pub policies: Vec<(SpreadPolicy, SpreadFigures)>,
    /// The deviation of use with Weir's policy over that with upstream's, seed by seed.
    pub deviation_ratio: Statistic,
}

/// The result of one policy at one point of measurement. Everything is in percent of a node's cores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpreadFigures {
    /// The standard deviation of the nodes' use.
    pub used_deviation: Statistic,
    /// The use of the busiest node.
    pub used_max: Statistic,
    /// The use of all nodes together; the same for every policy that places every pod.
    pub used_total: Statistic,
    /// The standard deviation of the requests on the nodes.
    pub requested_deviation: Statistic,
}

/// Why nothing can be placed.
#[derive(Debug, thiserror::Error)]
pub enum SpreadError {
    /// Only GPU nodes.
    #[error("nodes: all of them have GPUs; there is nothing to spread over")]
    NoNode,
    /// Only GPU pods.
    #[error("pods: all of them ask for GPUs; there is nothing to spread")]
    NoPod,
    /// No run is asked for.
    #[error("seeds: name at least one")]
    NoSeed,
    /// A request level that cannot be reached.
    #[error("requested: {0} % is not between 1 and 100")]
    Requested(u32),
}

/// Places the pods with every policy and seed.
///
/// # Errors
/// When the experiment leaves nothing to measure.
pub fn run(experiment: &SpreadExperiment) -> Result<SpreadReport, SpreadError> {
    let stage = Stage::new(experiment)?;
    let outcomes = SpreadPolicy::ALL.map(|policy| {
        let runs = experiment.seeds.iter().map(|&seed| stage.run(policy, seed));
        (policy, runs.collect::<Vec<_>>())
    });
    let [(_, ours), (_, upstream), _] = &outcomes;
    let ratios = ours.iter().zip(upstream).map(|(ours, upstream)| ours.used_deviation / upstream.used_deviation);
    let deviation_ratio = Statistic::of(ratios);
    let figures = outcomes.map(|(policy, runs)| (policy, sum_up(&runs)));
    Ok(SpreadReport { policies: figures.into(), deviation_ratio })
}

struct Outcome {
    used_deviation: f64,
    used_max: f64,
    used_total: f64,
    requested_deviation: f64,
}

fn sum_up(runs: &[Outcome]) -> SpreadFigures {
    let all = |figure: fn(&Outcome) -> f64| Statistic::of(runs.iter().map(figure));
    SpreadFigures {
        used_deviation: all(|run| run.used_deviation),
        used_max: all(|run| run.used_max),
        used_total: all(|run| run.used_total),
        requested_deviation: all(|run| run.requested_deviation),
    }
}

/// The data that all runs share.
struct Stage<'a> {
    experiment: &'a SpreadExperiment,
    nodes: Vec<&'a TraceNode>,
    pods: Vec<&'a TracePod>,
}

/// A node during a run.
struct Busy {
    host: Host,
    /// Thousandths of a core in use, by the system and by pods.
    used_milli: i64,
    /// The last report, and the requests that were placed since.
    cpu: Sample,
    memory: Sample,
}

impl<'a> Stage<'a> {
    fn new(experiment: &'a SpreadExperiment) -> Result<Self, SpreadError> {
        let nodes: Vec<_> = experiment.nodes.iter().filter(|node| node.gpus == 0 && node.cpu_milli > 0).collect();
        let pods: Vec<_> = experiment.pods.iter().filter(|pod| pod.gpus == 0 && pod.cpu_milli > 0).collect();
        match experiment.requested_percent {
            _ if nodes.is_empty() => Err(SpreadError::NoNode),
            _ if pods.is_empty() => Err(SpreadError::NoPod),
            _ if experiment.seeds.is_empty() => Err(SpreadError::NoSeed),
            1..=100 => Ok(Self { experiment, nodes, pods }),
            other => Err(SpreadError::Requested(other)),
        }
    }

    fn run(&self, policy: SpreadPolicy, seed: u64) -> Outcome {
        let mut world = stream(seed, 1);
        let mut chance = stream(seed, 2);
        let mut nodes: Vec<_> = self.nodes.iter().map(|node| Busy::new(node, &mut world)).collect();
        let applications = self.applications(&mut world);
        let demand: Vec<_> = self.pods.iter().map(|pod| pod.cpu_milli).collect();
        let capacity: i64 = self.nodes.iter().map(|node| node.cpu_milli).sum();
        let asked = capacity * i64::from(self.experiment.requested_percent) / 100;
        for (count, at) in arrivals(&demand, asked, seed).into_iter().enumerate() {
            if count % self.experiment.sample_every.max(1) == 0 {
                nodes.iter_mut().for_each(|node| node.sample(&mut world));
            }
            let pod = self.pods[at];
            let used = within(applications[&shape(pod)], POD_DEVIATION_PERMILLE, &mut world) * pod.cpu_milli / 1000;
            let want = Want::new(pod, Some(Class::CpuHosts));
            if let Some(node) = self.choose(policy, &nodes, &want, &mut chance) {
                nodes[node].place(&want, used.min(pod.cpu_milli));
            }
        }
        measure(&nodes)
    }

    /// The use of each application, in thousandths of its requests.
    fn applications(&self, world: &mut ChaCha8Rng) -> BTreeMap<(i64, i64), i64> {
        let mut applications = BTreeMap::new();
        for pod in &self.pods {
            applications.entry(shape(pod)).or_insert_with(|| between(APPLICATION_PERMILLE, world));
        }
        applications
    }

    /// One of the best nodes, by chance.
    fn choose(&self, policy: SpreadPolicy, nodes: &[Busy], want: &Want, chance: &mut ChaCha8Rng) -> Option<usize> {
        let fitting = nodes.iter().enumerate().filter(|(_, node)| node.host.fits(want));
        let scores: Vec<_> = fitting.map(|(at, node)| (at, self.score(policy, node, want))).collect();
        let best = scores.iter().map(|&(_, score)| score).max()?;
        let equals: Vec<_> = scores.iter().filter(|&&(_, score)| score == best).map(|&(at, _)| at).collect();
        equals.get(below(chance, equals.len())).copied()
    }

    fn score(&self, policy: SpreadPolicy, node: &Busy, want: &Want) -> i64 {
        let pod = PodLoad { cpu: want.shape.cpu_milli, memory: Amount::new(want.memory_mib * MIB) };
        match policy {
            SpreadPolicy::LoadAware => self.experiment.settings.score(&node.load(), &pod).points().into(),
            SpreadPolicy::UpstreamLeastAllocated => upstream_least_allocated(&node.host, want),
            SpreadPolicy::Random => 0,
        }
    }
}

impl Busy {
    fn new(node: &TraceNode, world: &mut ChaCha8Rng) -> Self {
        let used_milli = node.cpu_milli * between(SYSTEM_PERMILLE, world) / 1000;
        let host = Host::new(node, Class::CpuHosts);
        Self { host, used_milli, cpu: Sample::default(), memory: Sample::default() }
    }

    /// The report of the node's agent; memory is in use as requested.
    fn sample(&mut self, world: &mut ChaCha8Rng) {
        let seen = self.used_milli * within(1000, SAMPLE_DEVIATION_PERMILLE, world) / 1000;
        self.cpu = Sample { used: seen, placed_since: Amount::ZERO };
        self.memory = Sample { used: self.requested_memory(), placed_since: Amount::ZERO };
    }

    fn place(&mut self, want: &Want, used_milli: i64) {
        self.host.place(want, self.host.tightest(want));
        self.used_milli += used_milli;
        self.cpu.placed_since += want.shape.cpu_milli;
        self.memory.placed_since += Amount::new(want.memory_mib * MIB);
    }

    fn load(&self) -> NodeLoad {
        let occupancy = |allocatable, requested, sample| Occupancy {
            allocatable: Amount::new(allocatable),
            requested: Amount::new(requested),
            sample: Some(sample),
        };
        NodeLoad {
            cpu: occupancy(self.host.has.cpu_milli, self.requested_cpu(), self.cpu),
            memory: occupancy(self.host.has.memory_mib * MIB, self.requested_memory(), self.memory),
        }
    }

    fn requested_cpu(&self) -> i64 {
        self.host.has.cpu_milli - self.host.room.cpu_milli.units()
    }

    fn requested_memory(&self) -> i64 {
        (self.host.has.memory_mib - self.host.memory_mib) * MIB
    }
}

fn measure(nodes: &[Busy]) -> Outcome {
    let percent = |milli: fn(&Busy) -> i64| {
        nodes.iter().map(move |node| real(milli(node)) * 100.0 / real(node.host.has.cpu_milli)).collect::<Vec<_>>()
    };
    let sum = |milli: fn(&Busy) -> i64| nodes.iter().map(milli).sum::<i64>();
    let used = percent(|node| node.used_milli);
    Outcome {
        used_deviation: deviation(&used),
        used_max: used.iter().copied().fold(0.0, f64::max),
        used_total: real(sum(|node| node.used_milli)) * 100.0 / real(sum(|node| node.host.has.cpu_milli)),
        requested_deviation: deviation(&percent(Busy::requested_cpu)),
    }
}

/// The applications of the trace. It names none, so pods with the same requests count as one.
fn shape(pod: &TracePod) -> (i64, i64) {
    (pod.cpu_milli, pod.memory_mib)
}

/// A source of randomness for one purpose, so that a policy that draws more often changes nothing else.
fn stream(seed: u64, purpose: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(purpose);
    random
}

fn between((least, most): (i64, i64), random: &mut ChaCha8Rng) -> i64 {
    let width = usize::try_from(most - least + 1).unwrap_or(1);
    least + i64::try_from(below(random, width)).unwrap_or(0)
}

/// A number that is off by at most so many thousandths.
fn within(number: i64, permille: i64, random: &mut ChaCha8Rng) -> i64 {
    number * between((1000 - permille, 1000 + permille), random) / 1000
}

fn mean(figures: &[f64]) -> f64 {
    Statistic::of(figures.iter().copied()).mean.unwrap_or(0.0)
}

/// The standard deviation of all nodes, not of a sample of them: divided by n.
fn deviation(figures: &[f64]) -> f64 {
    let mean = mean(figures);
    let squares: Vec<_> = figures.iter().map(|figure| (figure - mean).powi(2)).collect();
    self::mean(&squares).sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "thousandths of a node's cores are far below 2⁵³")]
fn real(number: i64) -> f64 {
    number as f64
}

fn as_map<S: serde::Serializer>(policies: &[(SpreadPolicy, SpreadFigures)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(policies.iter().map(|(policy, figures)| (policy.name(), figures)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openb;

    /// The CPU nodes and pods of the trace, sampled once in 30 arrivals.
    fn openb_cpu() -> SpreadExperiment {
        let folder = openb::folder();
        SpreadExperiment {
            nodes: openb::read_nodes(&folder.join("openb_node_list_all_node.csv")).unwrap(),
            pods: openb::read_pods(&folder.join("openb_pod_list_default.csv")).unwrap(),
            requested_percent: 50,
            seeds: (42..=51).collect(),
            sample_every: 30,
            settings: LoadSettings::default(),
        }
    }

    #[test]
    fn measured_load_spreads_use_better_than_requests_and_requests_better_than_chance() {
        let report = run(&openb_cpu()).unwrap();
        let [ours, upstream, random] = [0, 1, 2].map(|at| report.policies[at].1.used_deviation.mean.unwrap());
        assert!(ours < upstream && upstream < random, "{ours} {upstream} {random}");
        assert!(report.deviation_ratio.mean.unwrap() <= 0.9, "{:?}", report.deviation_ratio);
        // The same pods came for both, and what a pod uses does not depend on where it is.
        let totals = report.policies.iter().map(|(_, figures)| figures.used_total.mean.unwrap()).collect::<Vec<_>>();
        assert_eq!(totals[0], totals[1]);
    }

    #[test]
    fn the_figures_follow_from_the_seeds() {
        let one = SpreadExperiment { seeds: vec![7], ..openb_cpu() };
        assert_eq!(run(&one).unwrap(), run(&one).unwrap());
        let other = SpreadExperiment { seeds: vec![8], ..openb_cpu() };
        assert_ne!(run(&one).unwrap(), run(&other).unwrap());
    }

    #[test]
    fn an_experiment_that_leaves_nothing_to_measure_is_refused() {
        let fine = openb_cpu();
        let gpu_nodes = fine.nodes.iter().filter(|node| node.gpus > 0).cloned().collect();
        let gpu_pods = fine.pods.iter().filter(|pod| pod.gpus > 0).cloned().collect();
        let said = |experiment: SpreadExperiment| run(&experiment).unwrap_err().to_string();
        assert!(said(SpreadExperiment { nodes: gpu_nodes, ..fine.clone() }).starts_with("nodes: "));
        assert!(said(SpreadExperiment { pods: gpu_pods, ..fine.clone() }).starts_with("pods: "));
        assert!(said(SpreadExperiment { seeds: vec![], ..fine.clone() }).starts_with("seeds: "));
        assert_eq!(
            said(SpreadExperiment { requested_percent: 101, ..fine }),
            "requested: 101 % is not between 1 and 100"
        );
    }
}
