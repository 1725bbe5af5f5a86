//! The scores of a place, by Weir's policies and by published ones.
//!
//! A score is a whole number, as in kube-scheduler: a policy that separates two nodes by a fraction of a point
//! does not separate them.

use std::fmt;
use std::str::FromStr;

use weir_model::Amount;
use weir_placement::Score;
use weir_placement::binpack::{Devices, GpuRequest, TypicalPods, most_allocated};

use super::cluster::{Host, Want};

/// The most cores and GPUs of a host, to which published policies relate what is left, in thousandths.
const MOST_CPU: f64 = 128_000.0;
const MOST_GPU: f64 = 8_000.0;
/// The weight of BinPackScore beside its tie-break's, in the profile of Weir's scheduler.
const BIN_PACK_WEIGHT: i64 = 100;

/// How a node is chosen among those that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Weir's, as the scheduler runs it: the fragmentation score with weight 100, and upstream's MostAllocated
    /// on the GPUs with weight 1.
    FragmentationAware,
    /// Weir's: the fullest GPUs.
    MostAllocated,
    /// NodeResourcesFit with MostAllocated on the GPUs alone; a pod without GPUs gets 0 everywhere.
    UpstreamMostAllocated,
    /// NodeResourcesFit as kube-scheduler comes: LeastAllocated on CPU and memory.
    UpstreamLeastAllocated,
    /// Fragmentation gradient descent as published, without a tie-break.
    Fgd,
    /// The least left over, CPU and GPU alike.
    BestFit,
    /// The smallest product of what is left and what is asked for.
    DotProd,
    /// Together with pods of the same kind, then the fullest.
    Clustering,
    /// Used GPUs before unused GPUs before unused hosts.
    Packing,
    /// Any node, by chance.
    Random,
}

impl Policy {
    /// All policies, Weir's first.
    pub const ALL: [Self; 10] = [
        Self::FragmentationAware,
        Self::MostAllocated,
        Self::UpstreamMostAllocated,
        Self::UpstreamLeastAllocated,
        Self::Fgd,
        Self::BestFit,
        Self::DotProd,
        Self::Clustering,
        Self::Packing,
        Self::Random,
    ];

    /// The name, as it is written on the command line and in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FragmentationAware => "FragmentationAware",
            Self::MostAllocated => "MostAllocated",
            Self::UpstreamMostAllocated => "UpstreamMostAllocated",
            Self::UpstreamLeastAllocated => "UpstreamLeastAllocated",
            Self::Fgd => "FGD",
            Self::BestFit => "BestFit",
            Self::DotProd => "DotProd",
            Self::Clustering => "Clustering",
            Self::Packing => "Packing",
            Self::Random => "Random",
        }
    }

    /// The score of a host for a pod that fits there, and the devices that the pod would get.
    pub(super) fn judge(self, host: &Host, want: &Want, typical: &TypicalPods) -> (i64, Devices) {
        let tight = |score| (score, host.tightest(want));
        match self {
            Self::FragmentationAware => {
                let (score, devices) = typical.place(&host.room, &want.shape).unwrap_or((Score::MIN, Devices::Unused));
                (points(score) * BIN_PACK_WEIGHT + upstream_most_allocated(host, want), devices)
            }
            Self::MostAllocated => tight(fullness(host, want)),
            Self::UpstreamMostAllocated => tight(upstream_most_allocated(host, want)),
            Self::UpstreamLeastAllocated => tight(upstream_least_allocated(host, want)),
            Self::Fgd => published_fgd(host, want, typical),
            Self::BestFit => tight(best_fit(host, want)),
            Self::DotProd => tight(dot_product(host, want)),
            Self::Clustering => tight(clustering(host, want)),
            Self::Packing => tight(packing(host, want)),
            Self::Random => tight(0),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no policy has.
#[derive(Debug, thiserror::Error)]
#[error("policy {name:?} is not known; the policies are {}", Policy::ALL.map(Policy::name).join(", "))]
pub struct ParsePolicyError {
    name: String,
}

impl FromStr for Policy {
    type Err = ParsePolicyError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|policy| policy.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| ParsePolicyError { name: name.into() })
    }
}

fn points(score: Score) -> i64 {
    i64::from(score.points())
}

/// Weir's MostAllocated, in thousandths of a GPU.
fn fullness(host: &Host, want: &Want) -> i64 {
    let [has, used, wanted] = [host.has.gpu_milli, host.used_milli(), want.shape.gpus.milli()].map(Amount::new);
    points(most_allocated(has, used, wanted))
}

/// Upstream leaves out an extended resource that the pod does not ask for, and here there is no other.
fn upstream_most_allocated(host: &Host, want: &Want) -> i64 {
    match want.shape.gpus {
        GpuRequest::Nothing => 0,
        GpuRequest::Part(_) | GpuRequest::Whole(_) => fullness(host, want),
    }
}

/// The mean over CPU and memory of `100 × left ÷ capacity`, each rounded down, as upstream computes it.
pub(crate) fn upstream_least_allocated(host: &Host, want: &Want) -> i64 {
    let left = |left: i64, has: i64| if has > 0 { left.max(0) * 100 / has } else { 0 };
    let cpu = left(host.room.cpu_milli.minus(want.shape.cpu_milli).units(), host.has.cpu_milli);
    let memory = left(host.memory_mib - want.memory_mib, host.has.memory_mib);
    i64::midpoint(cpu, memory)
}

/// The published choice of a device is by the rounded score too: the first of the best.
fn published_fgd(host: &Host, want: &Want, typical: &TypicalPods) -> (i64, Devices) {
    let before = typical.fragmentation_micro(&host.room);
    let score = |devices| {
        let after = typical.fragmentation_micro(&host.room.after(&want.shape, devices));
        real(before - after) / 1e6
    };
    let rounded = |devices| (whole(100.0 / (1.0 + f64::exp(-score(devices)))), devices);
    let first_best = |best: (i64, Devices), next: (i64, Devices)| if next.0 > best.0 { next } else { best };
    // Used devices come before unused ones; the published order is that of the device's number.
    let mut choices: Vec<_> = host.room.choices(&want.shape).map(rounded).collect();
    choices.sort_by_key(|&(_, devices)| devices == Devices::Unused);
    choices.into_iter().reduce(first_best).unwrap_or((0, Devices::Unused))
}

/// `100 × (1 − ½ × (CPU left over ÷ the largest host's) − ½ × (GPU left over ÷ the largest host's))`.
fn best_fit(host: &Host, want: &Want) -> i64 {
    let cpu = real(host.room.cpu_milli.minus(want.shape.cpu_milli).units()) / MOST_CPU;
    let gpu = real(host.room.idle_milli() - want.shape.gpus.milli()) / MOST_GPU;
    whole((1.0 - 0.5 * cpu - 0.5 * gpu) * 100.0)
}

/// `100 × (1 − ½ × left · wanted)`, both in parts of the largest host.
fn dot_product(host: &Host, want: &Want) -> i64 {
    let cpu = real(host.room.cpu_milli.units()) / MOST_CPU * real(want.shape.cpu_milli.units()) / MOST_CPU;
    let gpu = real(host.room.idle_milli()) / MOST_GPU * real(want.shape.gpus.milli()) / MOST_GPU;
    whole((1.0 - (cpu + gpu) / 2.0) * 100.0)
}

/// A quarter of the points each for a host with only pods of this kind, also pods of this kind, no pod, other pods;
/// within a quarter the fullest first.
fn clustering(host: &Host, want: &Want) -> i64 {
    let Some(kind) = want.kind() else { return 0 };
    let same = host.kinds.iter().any(|&(known, _)| known == kind);
    let quarter = match (same, host.kinds.len()) {
        (true, 1) => 75,
        (true, _) => 50,
        (false, 0) => 25,
        (false, _) => 0,
    };
    quarter + 25 * (8000 - host.room.idle_milli()) / 8000
}

/// 50 to 100 on GPUs in use, the less is left of them the more; 33 to 50 on unused GPUs of a host in use,
/// the fewer of them the more; below 33 on an unused host, the fewer GPUs it has the more. Nothing for a pod
/// without GPUs.
fn packing(host: &Host, want: &Want) -> i64 {
    let unused = i64::from(host.room.whole);
    match (want.shape.gpus, host.tightest(want)) {
        (GpuRequest::Nothing, _) => 0,
        _ if unused == host.has.gpus => (33 - unused).max(unused),
        (GpuRequest::Whole(count), _) => (50 - i64::from(count)).max(33),
        (GpuRequest::Part(_), Devices::Unused) => 49,
        (GpuRequest::Part(_), Devices::Part(at)) => {
            let left = i64::from(host.room.parts.get(at).copied().unwrap_or_default());
            (100 - left * 100 / 1000 / 10).max(50)
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "thousandths of what one host has are far below 2⁵³")]
fn real(number: i64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a score is cut to a whole number, as kube-scheduler's are")]
fn whole(score: f64) -> i64 {
    score as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openb::{TraceNode, TracePod};
    use weir_model::Class;
    use weir_placement::binpack::Shape;

    fn want(cpu_milli: i64, gpus: i64, gpu_milli: i64) -> Want {
        let (created, deleted) = (None, None);
        let pod = TracePod {
            name: "p".into(),
            cpu_milli,
            memory_mib: 1024,
            gpus,
            gpu_milli,
            models: vec![],
            created,
            deleted,
        };
        Want::new(&pod, Some(Class::CpuHosts))
    }

    /// A host with 64 cores, 4 GiB and 8 GPUs that holds these pods.
    fn host(pods: &[Want]) -> Host {
        let node = TraceNode { name: "n".into(), cpu_milli: 64_000, memory_mib: 4096, gpus: 8, model: None };
        let mut host = Host::new(&node, Class::CpuHosts);
        pods.iter().for_each(|pod| host.place(pod, host.tightest(pod)));
        host
    }

    /// One GPU is used to 600 thousandths, one wholly; 48 cores and 2 GiB are left.
    fn used() -> Host {
        host(&[want(8_000, 1, 600), want(8_000, 1, 1000)])
    }

    fn judged(policy: Policy, host: &Host, want: &Want) -> (i64, Devices) {
        let typical = TypicalPods::new([(Shape { cpu_milli: Amount::new(1_000), gpus: GpuRequest::Whole(1) }, 1)]);
        policy.judge(host, want, &typical.unwrap())
    }

    #[test]
    fn every_policy_scores_a_part_of_a_gpu_as_its_formula_says() {
        let part = want(4_000, 1, 300);
        let scores = Policy::ALL.map(|policy| (policy.name(), judged(policy, &used(), &part).0));
        assert_eq!(
            scores,
            [
                // The pod that wants a whole GPU can use neither 0.4 nor the 0.1 that are left: F falls by 0.3,
                // 100 × σ(0.3) = 57.4; and 1.9 of 8 GPUs would be used.
                ("FragmentationAware", 5723),
                ("MostAllocated", 23),
                ("UpstreamMostAllocated", 23),
                // 44 of 64 cores, 68 %, and 1 of 4 GiB, 25 %.
                ("UpstreamLeastAllocated", 46),
                ("FGD", 57),
                // 1 − ½ × 44 ÷ 128 − ½ × 6.1 ÷ 8 = 0.447
                ("BestFit", 44),
                // 1 − ½ × (48 ÷ 128 × 4 ÷ 128 + 6.4 ÷ 8 × 0.3 ÷ 8) = 0.979
                ("DotProd", 97),
                // There are pods of this kind and of another: 50 + 25 × 1.6 ÷ 8.
                ("Clustering", 55),
                // 400 thousandths are left on the GPU in use.
                ("Packing", 96),
                ("Random", 0),
            ]
        );
    }

    #[test]
    fn a_part_goes_to_the_gpu_in_use_and_a_whole_one_to_unused_ones() {
        for policy in Policy::ALL {
            assert_eq!(judged(policy, &used(), &want(1_000, 1, 300)).1, Devices::Part(0), "{policy}");
            assert_eq!(judged(policy, &used(), &want(1_000, 1, 500)).1, Devices::Unused, "{policy}");
            assert_eq!(judged(policy, &used(), &want(1_000, 2, 1000)).1, Devices::Unused, "{policy}");
        }
    }

    #[test]
    fn clustering_and_packing_rank_hosts_by_who_is_there() {
        let (whole, none) = (want(1_000, 1, 1000), want(1_000, 0, 0));
        let same = host(&[want(1_000, 1, 1000)]);
        let other = host(&[want(1_000, 2, 1000)]);
        let scores = |policy| [&same, &used(), &host(&[]), &other].map(|host| judged(policy, host, &whole).0);
        assert_eq!(scores(Policy::Clustering), [78, 55, 25, 6]);
        assert_eq!(scores(Policy::Packing), [49, 49, 25, 49]);
        assert_eq!([Policy::Clustering, Policy::Packing].map(|policy| judged(policy, &same, &none).0), [0, 0]);
    }

    #[test]
    fn a_policy_is_found_by_its_name_in_any_case_and_a_wrong_one_lists_all() {
        assert_eq!("fgd".parse::<Policy>().unwrap(), Policy::Fgd);
        assert!(Policy::ALL.iter().all(|policy| policy.name().parse::<Policy>().unwrap() == *policy));
        assert_eq!(
            "WorstFit".parse::<Policy>().unwrap_err().to_string(),
            "policy \"WorstFit\" is not known; the policies are FragmentationAware, MostAllocated, \
             UpstreamMostAllocated, UpstreamLeastAllocated, FGD, BestFit, DotProd, Clustering, Packing, Random"
        );
    }
}
