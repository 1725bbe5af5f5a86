//! One run: the pods of one seed arrive one by one and go where one policy places them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use weir_placement::Filters;
use weir_placement::binpack::{Devices, GpuRequest, TypicalPods};
use weir_placement::gpu::GpuNames;

use super::cluster::{Host, Want};
use super::experiment::{Experiment, GpuFilter, PackError, Ties};
use super::policy::Policy;
use super::view::{GPU, SeenNode, SeenPod};
use super::workload;
use crate::openb::TracePod;

/// The data that all runs share.
pub(super) struct Arena {
    /// The hosts, sorted by name.
    hosts: Vec<Host>,
    /// The different requests of pods, each once.
    wants: Vec<Want>,
    /// The request of each pod of the trace, as a position in `wants`.
    want_of: Vec<usize>,
    /// The GPUs that each pod of the trace asks for, in thousandths.
    demand: Vec<i64>,
    typical: TypicalPods,
    capacity_milli: i64,
    load_percent: u32,
    ties: Ties,
}

/// The result of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// The GPUs in use when the pods had asked for as many as there are, in percent.
    pub(super) allocation_at_100: f64,
    /// The GPUs in use at the end, in percent.
    pub(super) allocation_at_load: f64,
    /// The pods with 8 GPUs that were not placed, in percent; `None` if none arrived.
    pub(super) refused_8gpu: Option<f64>,
    /// The hosts with 8 idle GPUs when the pods had asked for half of the GPUs.
    pub(super) empty_8gpu_nodes_at_50: f64,
    /// The idle GPUs that typical pods cannot use at 100 %, in percent; `None` if none was idle.
    pub(super) fragmentation_at_100: Option<f64>,
}

impl Arena {
    pub(super) fn new(experiment: &Experiment, pods: Vec<TracePod>) -> Result<Self, PackError> {
        let filters = filters(experiment.gpu_filter);
        let mut nodes = experiment.nodes.clone();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let hosts: Vec<_> =
            nodes.iter().map(|node| Host::new(node, filters.class_of_node(&SeenNode::new(node)))).collect();
        let mut wants: Vec<Want> = Vec::new();
        let want_of = pods.iter().map(|pod| {
            let want = Want::new(pod, filters.class_of_pod(&SeenPod::new(pod)).ok());
            wants.iter().position(|known| *known == want).unwrap_or_else(|| {
                wants.push(want);
                wants.len() - 1
            })
        });
        let want_of: Vec<usize> = want_of.collect();
        Ok(Self {
            typical: TypicalPods::learn(want_of.iter().map(|&at| wants[at].shape))?,
            demand: want_of.iter().map(|&at| wants[at].shape.gpus.milli()).collect(),
            capacity_milli: hosts.iter().map(|host| host.has.gpu_milli).sum(),
            load_percent: experiment.load_percent,
            ties: experiment.ties,
            hosts,
            wants,
            want_of,
        })
    }

    /// Replays one seed with one policy.
    pub(super) fn replay(&self, policy: Policy, seed: u64) -> Outcome {
        let asked = self.capacity_milli * i64::from(self.load_percent) / 100;
        let mut run = Run::new(self, policy, seed);
        let (mut came, mut used) = (0, 0);
        let (mut eight, mut eight_refused) = (0_u32, 0_u32);
        let mut outcome = Outcome::default();
        for pod in workload::arrivals(&self.demand, asked, seed) {
            let (milli, before) = (self.demand[pod], came);
            let placed = run.place(self.want_of[pod]);
            came += milli;
            used += if placed { milli } else { 0 };
            if self.wants[self.want_of[pod]].shape.gpus == GpuRequest::Whole(8) {
                eight += 1;
                eight_refused += u32::from(!placed);
            }
            let passes = |percent: i64| {
                before * 100 < self.capacity_milli * percent && came * 100 >= self.capacity_milli * percent
            };
            if passes(50) {
                outcome.empty_8gpu_nodes_at_50 = run.free_8gpu_hosts();
            }
            if passes(100) {
                outcome.allocation_at_100 = percent(used, self.capacity_milli);
                outcome.fragmentation_at_100 = run.fragmentation();
            }
        }
        outcome.allocation_at_load = percent(used, self.capacity_milli);
        outcome.refused_8gpu = (eight > 0).then(|| f64::from(eight_refused) / f64::from(eight) * 100.0);
        outcome
    }
}

fn filters(gpu_filter: GpuFilter) -> Filters {
    let gpu = match gpu_filter {
        GpuFilter::Off => None,
        GpuFilter::On => GpuNames::new(vec![GPU.into()], Vec::new()).ok(),
    };
    Filters { gpu, sku: None }
}

/// The state of one run.
struct Run<'a> {
    arena: &'a Arena,
    policy: Policy,
    hosts: Vec<Host>,
    /// The judgements so far, by request and host. Most pods ask for the same as another one, and each placement
    /// changes one host, so nearly every judgement is an old one.
    judged: Vec<Judged>,
    /// The randomness that breaks ties; the one that orders the pods is another, the same for all policies.
    chance: ChaCha8Rng,
}

/// A judgement, and the version of the host that it holds for.
#[derive(Clone, Copy)]
struct Judged {
    version: u32,
    verdict: Option<(i64, Devices)>,
}

/// A version that no host reaches: each of its pods raises it by one.
const NEVER: u32 = u32::MAX;

impl<'a> Run<'a> {
    fn new(arena: &'a Arena, policy: Policy, seed: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        chance.set_stream(1);
        let judged = vec![Judged { version: NEVER, verdict: None }; arena.wants.len() * arena.hosts.len()];
        Self { arena, policy, hosts: arena.hosts.clone(), judged, chance }
    }

    /// Places a pod and returns whether it fitted anywhere.
    fn place(&mut self, want: usize) -> bool {
        self.judge_all(want);
        let Some((host, devices)) = self.choose(want) else { return false };
        self.hosts[host].place(&self.arena.wants[want], devices);
        true
    }

    fn judge_all(&mut self, want: usize) {
        let row = want * self.hosts.len();
        for (judged, host) in self.judged[row..].iter_mut().zip(&self.hosts) {
            if judged.version != host.version {
                let want = &self.arena.wants[want];
                let fits =
                    (judged.version == NEVER || judged.verdict.is_some()) && host.admits(want) && host.fits(want);
                let verdict = fits.then(|| self.policy.judge(host, want, &self.arena.typical));
                *judged = Judged { version: host.version, verdict };
            }
        }
    }

    /// The best host and the devices there; ties go by chance or by name. To the policy that takes any
    /// node all hosts are equal, and it goes by chance.
    fn choose(&mut self, want: usize) -> Option<(usize, Devices)> {
        let row = &self.judged[want * self.hosts.len()..][..self.hosts.len()];
        let best = row.iter().filter_map(|judged| judged.verdict).map(|(score, _)| score).max()?;
        let equals = || {
            let verdicts =
                row.iter().enumerate().filter_map(|(at, judged)| judged.verdict.map(|verdict| (at, verdict)));
            verdicts.filter(|&(_, (score, _))| score == best).map(|(at, (_, devices))| (at, devices))
        };
        match (self.arena.ties, self.policy) {
            (Ties::Name, policy) if policy != Policy::Random => equals().next(),
            (Ties::Name | Ties::Random, _) => equals().nth(workload::below(&mut self.chance, equals().count())),
        }
    }

    fn free_8gpu_hosts(&self) -> f64 {
        real(self.hosts.iter().filter(|host| host.is_free_8gpu_host()).map(|_| 1).sum())
    }

    fn fragmentation(&self) -> Option<f64> {
        let useless: i64 = self.hosts.iter().map(|host| self.arena.typical.fragmentation_micro(&host.room)).sum();
        let idle: i64 = self.hosts.iter().map(|host| host.room.idle_milli()).sum();
        (idle > 0).then(|| percent(useless, idle * 1000))
    }
}

fn percent(part: i64, whole: i64) -> f64 {
    real(part) * 100.0 / real(whole)
}

#[expect(clippy::cast_precision_loss, reason = "millionths of the GPUs of a cluster are below 2⁵³")]
fn real(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::super::{Fractions, run};
    use super::*;
    use crate::openb::TraceNode;

    fn node(name: &str, gpus: i64) -> TraceNode {
        let model = (gpus > 0).then(|| "T4".into());
        TraceNode { name: name.into(), cpu_milli: 64_000, memory_mib: 1 << 20, gpus, model }
    }

    fn pod(gpus: i64, model: &str) -> TracePod {
        let models = if model.is_empty() { vec![] } else { vec![model.into()] };
        let (name, gpu_milli) = ("p".into(), if gpus > 0 { 1000 } else { 0 });
        TracePod { name, cpu_milli: 1_000, memory_mib: 1, gpus, gpu_milli, models, created: None, deleted: None }
    }

    fn experiment(nodes: Vec<TraceNode>, pods: Vec<TracePod>) -> Experiment {
        Experiment {
            nodes,
            pods,
            load_percent: 100,
            seeds: vec![1],
            ties: Ties::Name,
            gpu_filter: GpuFilter::Off,
            fractions: Fractions::Keep,
        }
    }

    fn outcome(experiment: &Experiment, policy: Policy) -> Outcome {
        Arena::new(experiment, experiment.pods.clone()).unwrap().replay(policy, 1)
    }

    #[test]
    fn packing_keeps_a_host_free_and_spreading_does_not() {
        // Two hosts with 8 GPUs, and 8 pods with one GPU each come before half of the load is reached.
        let experiment = experiment(vec![node("a", 8), node("b", 8)], vec![pod(1, ""); 16]);
        assert_eq!(outcome(&experiment, Policy::MostAllocated).empty_8gpu_nodes_at_50, 1.0);
        assert_eq!(outcome(&experiment, Policy::UpstreamLeastAllocated).empty_8gpu_nodes_at_50, 0.0);
        let full = outcome(&experiment, Policy::MostAllocated);
        assert_eq!((full.allocation_at_100, full.fragmentation_at_100, full.refused_8gpu), (100.0, None, None));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_what_is_left_is_a_fragment() {
        // Four GPUs on each of two hosts: the pod with 8 fits nowhere, whichever policy looks.
        let experiment = experiment(vec![node("a", 4), node("b", 4)], vec![pod(8, "")]);
        let outcome = outcome(&experiment, Policy::BestFit);
        assert_eq!(outcome.allocation_at_load, 0.0);
        assert_eq!((outcome.refused_8gpu, outcome.fragmentation_at_100), (Some(100.0), Some(100.0)));
    }

    #[test]
    fn a_pod_that_names_other_models_does_not_fit() {
        let t4 = |model| outcome(&experiment(vec![node("a", 8)], vec![pod(8, model)]), Policy::Random).refused_8gpu;
        assert_eq!([t4("T4"), t4("G2")], [Some(0.0), Some(100.0)]);
    }

    #[test]
    fn the_gpu_filter_keeps_pods_without_gpus_off_gpu_hosts() {
        // A pod without GPUs that wants 64 cores, and one with 8 GPUs. By name host "a" comes first, and to
        // the policy that scores nothing for pods without GPUs all hosts are equal.
        let pods = vec![TracePod { cpu_milli: 64_000, ..pod(0, "") }, pod(8, "")];
        let off = experiment(vec![node("a", 8), node("b", 0)], pods);
        let on = Experiment { gpu_filter: GpuFilter::On, ..off.clone() };
        let robbed = |experiment: &Experiment| {
            let arena = Arena::new(experiment, experiment.pods.clone()).unwrap();
            (0..20).any(|seed| arena.replay(Policy::Packing, seed).allocation_at_load == 0.0)
        };
        assert_eq!((robbed(&off), robbed(&on)), (true, false));
    }

    #[test]
    fn an_experiment_that_leaves_nothing_to_measure_is_refused() {
        let fine = experiment(vec![node("a", 8)], vec![pod(1, "")]);
        let said = |experiment: &Experiment| run(experiment, &[Policy::Random]).unwrap_err();
        assert!(run(&fine, &[Policy::Random]).is_ok());
        assert!(matches!(said(&Experiment { nodes: vec![node("a", 0)], ..fine.clone() }), PackError::NoGpus));
        assert!(matches!(said(&Experiment { pods: vec![pod(0, "")], ..fine.clone() }), PackError::NoDemand));
        assert!(matches!(said(&Experiment { seeds: vec![], ..fine.clone() }), PackError::NoSeed));
        assert!(matches!(said(&Experiment { load_percent: 99, ..fine }), PackError::LowLoad(99)));
    }
}
