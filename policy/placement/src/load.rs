//! Pods without GPUs go to the CPU nodes that are least occupied in fact, not on paper.
//!
//! Decides how well one pod would sit on one node, as a [`Score`], from what the node was seen to use, what
//! was placed there since, and the pod itself. It does not decide whether a sample is fresh: plugins have no
//! clock, so the scheduler hands over a sample only while it is.
//!
//! ```text
//! occupied = (measured + estimate × (requests placed since the sample + half the pod's request)) ÷ allocatable
//! score    = 100 − occupied                  in bands of so many percent, below the thresholds of CPU and memory
//!            a tenth of it                   above one of them
//!            50 − requested ÷ 4 (50 to 25)   without a usable sample
//! ```
//!
//! **Why bands.** All pods of a job look alike, and a sample is up to a minute old: with scores as fine as
//! the figures, every pod would go to the one node that looked emptiest, wrong or right. Nodes in one band
//! are equal, and kube-scheduler chooses among equals at random. A hash of the pod as the tie-break would
//! not do: a plugin is not told a pod's name, so that its verdicts can be remembered, and all pods of the
//! job would agree on the same node again. What was placed since the sample moves a node to the next band
//! long before the next sample does.
//!
//! **Why half the pod.** Nodes that are to be used evenly are nodes whose use `u` varies little. A pod that adds
//! `d` to a node changes the variance by `(u + d − mean)² − (u − mean)² = 2d × (u + d ÷ 2 − mean)`: what counts is
//! the use with half of the pod. With none of it large pods start on small nodes; with all of it none
//! does, and the small nodes idle. Whether a threshold is passed is asked with the whole pod.
//!
//! **Why CPU alone ranks, and memory only warns.** Little CPU left slows every pod on the node, gradually;
//! little memory left does nothing until it kills. The mean of both would send pods to a node without CPU
//! because it has memory.
//!
//! **Why no sample is not zero use.** A node whose agent has died looks idle, takes every pod of the
//! cluster and may be the one that is broken. It gets half of the points at most, and fewer the more is
//! requested on it; so a cluster without any agent still spreads by requests.

use core::fmt;

use serde::Deserialize;
use weir_model::Amount;

use crate::Score;

/// What is asked for at the least: kube-scheduler's own assumption for a pod that states no CPU request.
const SMALLEST_CPU_MILLI: Amount = Amount::new(100);
/// A node above a threshold keeps one point in so many, enough to rank the hot ones among themselves.
const PENALTY: i64 = 10;
/// More than so many times allocatable is a mistake: what system daemons use beyond it is a fraction.
const ABSURD: i64 = 2;

/// How the load of a node is judged; all in percent of what is allocatable there.
///
/// ```
/// use weir_placement::load::LoadSettings;
/// let wide = LoadSettings { band_percent: 60, ..LoadSettings::default() };
/// assert_eq!(wide.checked().unwrap_err().to_string(), "bandPercent: 60 is not a percentage between 1 and 50");
/// assert!(LoadSettings::default().checked().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LoadSettings {
    /// How much of a CPU request a pod is expected to use, until it has been measured; 1 to 100.
    pub estimate_percent: u8,
    /// The width of a band; nodes in one band are equally good. 1 to 50.
    pub band_percent: u8,
    /// Expected CPU use above which a node is avoided; 1 to 100.
    pub cpu_threshold_percent: u8,
    /// Expected memory use above which a node is avoided; 1 to 100.
    pub memory_threshold_percent: u8,
}

impl Default for LoadSettings {
    fn default() -> Self {
        Self { estimate_percent: 50, band_percent: 2, cpu_threshold_percent: 75, memory_threshold_percent: 90 }
    }
}

/// One resource of a node, in its base unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// What the node has for pods.
    pub allocatable: Amount,
    /// What all pods on it request.
    pub requested: Amount,
    /// What it was seen to use, and what came since; `None` when there is no fresh sample.
    pub sample: Option<Sample>,
}

/// What a node was seen to use of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Use by everything on the node, averaged over the sample's window, as it was reported: it may be
    /// negative or far above what there is, and is then not believed.
    pub used: i64,
    /// Requests of the pods that were placed after the window began and that `used` cannot know.
    pub placed_since: Amount,
}

/// How a node is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeLoad {
    /// Thousandths of a core.
    pub cpu: Occupancy,
    /// Bytes.
    pub memory: Occupancy,
}

/// What the pod that is to be placed requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodLoad {
    /// Thousandths of a core; less than 100 counts as 100.
    pub cpu: Amount,
    /// Bytes.
    pub memory: Amount,
}

impl LoadSettings {
    /// These settings, if they make sense.
    ///
    /// # Errors
    /// The first field that is out of its range.
    pub fn checked(self) -> Result<Self, LoadSettingsError> {
        let Self { estimate_percent, band_percent, cpu_threshold_percent, memory_threshold_percent } = self;
        let fields = [
            ("estimatePercent", estimate_percent, 100),
            ("bandPercent", band_percent, 50),
            ("cpuThresholdPercent", cpu_threshold_percent, 100),
            ("memoryThresholdPercent", memory_threshold_percent, 100),
        ];
        match fields.into_iter().find(|&(_, value, most)| value == 0 || value > most) {
            Some((field, value, most)) => Err(LoadSettingsError { field, value, most }),
            None => Ok(self),
        }
    }

    /// How well the pod would sit on the node.
    ///
    /// ```
    /// use weir_model::Amount;
    /// use weir_placement::load::{LoadSettings, NodeLoad, Occupancy, PodLoad, Sample};
    /// let pod = PodLoad { cpu: Amount::new(2_000), memory: Amount::ZERO };
    /// let cpu = |sample| Occupancy { allocatable: Amount::new(32_000), requested: Amount::new(20_000), sample };
    /// let node = |sample| NodeLoad { cpu: cpu(sample), memory: Occupancy::default() };
    /// let score = |sample| LoadSettings::default().score(&node(sample), &pod).points();
    ///
    /// // 8 cores used, 4 requested since: 8 + 0.5 × (4 + 1) = 10.5 of 32 cores, 32.8 %, band 32.
    /// assert_eq!(score(Some(Sample { used: 8_000, placed_since: Amount::new(4_000) })), 68);
    /// // 26 of 32 cores used: above the threshold of 75 %, a tenth of 16.
    /// assert_eq!(score(Some(Sample { used: 26_000, placed_since: Amount::ZERO })), 1);
    /// // No sample: 22 of 32 cores would be requested, 68.75 %.
    /// assert_eq!(score(None), 33);
    /// ```
    #[must_use]
    pub fn score(&self, node: &NodeLoad, pod: &PodLoad) -> Score {
        let NodeLoad { cpu, memory } = node;
        let wanted = pod.cpu.max(SMALLEST_CPU_MILLI);
        let Some(occupied) = self.expected_permille(cpu, wanted.scale(1, 2)) else {
            return unmeasured(cpu, wanted);
        };
        let above = |node, wanted, threshold| {
            self.expected_permille(node, wanted).is_some_and(|expected| expected > i64::from(threshold) * 10)
        };
        let hot =
            above(cpu, wanted, self.cpu_threshold_percent) || above(memory, pod.memory, self.memory_threshold_percent);
        let band = i64::from(self.band_percent.max(1));
        let free = 100 - occupied / (10 * band) * band;
        Score::new(if hot { free / PENALTY } else { free })
    }

    /// What the node would use with a pod that wants so much, in thousandths of allocatable, 1000 at most; `None` when no
    /// figure can be believed.
    fn expected_permille(&self, node: &Occupancy, wanted: Amount) -> Option<i64> {
        let Occupancy { allocatable, requested: _, sample } = *node;
        let Sample { used, placed_since } = sample?;
        let believable = 0..=allocatable.units().saturating_mul(ABSURD);
        if allocatable.is_zero() || !believable.contains(&used) {
            return None;
        }
        let coming = (placed_since + wanted).scale(i64::from(self.estimate_percent), 100);
        let expected = (Amount::new(used) + coming).min(allocatable);
        Some(expected.scale(1000, allocatable.units()).units())
    }
}

/// Half of the points where nothing is requested, down to a quarter where everything is.
fn unmeasured(node: &Occupancy, wanted: Amount) -> Score {
    let Occupancy { allocatable, requested, sample: _ } = *node;
    let percent = (requested + wanted).min(allocatable).scale(100, allocatable.units()).units();
    Score::new(i64::from(Score::NEUTRAL.points()) - percent / 4)
}

/// A setting that is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSettingsError {
    /// The field, as it is written in the configuration.
    pub field: &'static str,
    /// What stands there.
    pub value: u8,
    /// The largest value it may have; the smallest is 1.
    pub most: u8,
}

impl fmt::Display for LoadSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, most } = self;
        write!(f, "{field}: {value} is not a percentage between 1 and {most}")
    }
}

impl core::error::Error for LoadSettingsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const GIB: i64 = 1 << 30;

    fn sampled(used: i64, placed_since: i64) -> Option<Sample> {
        Some(Sample { used, placed_since: Amount::new(placed_since) })
    }

    /// A node with 10 cores, 5 of them requested, and 100 GiB.
    fn node(cpu: Option<Sample>, memory: Option<Sample>) -> NodeLoad {
        NodeLoad {
            cpu: Occupancy { allocatable: Amount::new(10_000), requested: Amount::new(5_000), sample: cpu },
            memory: Occupancy { allocatable: Amount::new(100 * GIB), requested: Amount::ZERO, sample: memory },
        }
    }

    /// For a pod of 1 core, of which half is expected to be used.
    fn points(node: &NodeLoad) -> u8 {
        LoadSettings::default().score(node, &PodLoad { cpu: Amount::new(1_000), memory: Amount::new(GIB) }).points()
    }

    #[test]
    fn the_less_a_node_uses_the_better() {
        let scores = [0, 1_750, 3_750, 6_950].map(|used| points(&node(sampled(used, 0), None)));
        // 2.5 %, 20 %, 40 %, 72 % with half of the pod, in bands of 2
        assert_eq!(scores, [98, 80, 60, 28]);
    }

    #[test]
    fn nodes_that_differ_by_less_than_a_band_are_equal() {
        assert_eq!(points(&node(sampled(3_750, 0), None)), 60);
        assert_eq!(points(&node(sampled(3_949, 0), None)), 60);
        assert_eq!(points(&node(sampled(3_950, 0), None)), 58);
    }

    #[test]
    fn what_was_placed_since_the_sample_counts_before_it_is_measured() {
        assert_eq!(points(&node(sampled(1_750, 4_000), None)), 60);
        assert!(points(&node(sampled(1_750, 4_400), None)) < points(&node(sampled(3_750, 0), None)));
    }

    #[test]
    fn a_large_pod_finds_small_nodes_as_good_as_large_ones_until_they_fill() {
        let sized =
            |cores: i64, used| Occupancy { allocatable: Amount::new(cores * 1000), ..node(sampled(used, 0), None).cpu };
        let large = PodLoad { cpu: Amount::new(8_000), memory: Amount::ZERO };
        let points =
            |cpu| LoadSettings::default().score(&NodeLoad { cpu, memory: Occupancy::default() }, &large).points();
        // With half of the pod 2 of 10 cores are used, and as many hundredths of 40 and of 100.
        assert_eq!([points(sized(10, 0)), points(sized(40, 6_000)), points(sized(100, 18_000))], [80, 80, 80]);
        // With all of it the first would be at 76 %.
        assert_eq!(points(sized(10, 3_600)), 4);
    }

    #[test]
    fn a_node_above_a_threshold_comes_after_every_node_below() {
        let hot = points(&node(sampled(7_100, 0), None));
        let full_and_unmeasured = NodeLoad {
            cpu: Occupancy { allocatable: Amount::new(10_000), requested: Amount::new(10_000), sample: None },
            memory: Occupancy::default(),
        };
        assert_eq!((hot, points(&full_and_unmeasured)), (2, 25));
        // 90 GiB of 100 are in use and 0.5 more would be: CPU is idle, and still the node is avoided.
        assert_eq!(points(&node(sampled(0, 0), sampled(90 * GIB, 0))), 9);
        assert_eq!(points(&node(sampled(0, 0), sampled(89 * GIB, 0))), 98);
    }

    #[test]
    fn without_a_believable_sample_a_node_is_neutral_and_never_idle() {
        let missing = points(&node(None, None));
        // 5 of 10 cores and the pod's one: 50 − 60 ÷ 4
        assert_eq!(missing, 35);
        for absurd in [-1, i64::MIN, 20_001, i64::MAX] {
            assert_eq!(points(&node(sampled(absurd, 0), None)), missing, "{absurd}");
        }
        // Daemons may use what is not allocatable to pods; that is an overloaded node and no mistake.
        assert_eq!(points(&node(sampled(20_000, 0), None)), 0);
    }

    #[test]
    fn an_unbelievable_memory_figure_does_not_touch_what_cpu_says() {
        let idle = points(&node(sampled(0, 0), None));
        assert_eq!(points(&node(sampled(0, 0), sampled(-5, 0))), idle);
        assert_eq!(points(&node(sampled(0, 0), sampled(201 * GIB, 0))), idle);
    }

    #[test]
    fn a_node_that_has_nothing_is_neutral() {
        let none = Occupancy { sample: sampled(0, 0), ..Occupancy::default() };
        assert_eq!(points(&NodeLoad { cpu: none, memory: none }), 50);
    }

    #[test]
    fn a_pod_that_requests_nothing_is_not_free() {
        let busy = |placed| node(sampled(0, placed), None);
        let score = |node: &NodeLoad| LoadSettings::default().score(node, &PodLoad::default()).points();
        // The pod counts as 0.1 cores, half of which is half expected: with the 0.35 of 10 that are placed, 2 %.
        assert_eq!(score(&busy(0)), 100);
        assert_eq!(score(&busy(340)), 100);
        assert_eq!(score(&busy(350)), 98);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let most = Occupancy {
            allocatable: Amount::MAX,
            requested: Amount::MAX,
            sample: Some(Sample { used: i64::MAX, placed_since: Amount::MAX }),
        };
        assert_eq!(points(&NodeLoad { cpu: most, memory: most }), 0);
    }

    #[test]
    fn a_setting_out_of_range_is_named() {
        let zero = LoadSettings { band_percent: 0, ..LoadSettings::default() };
        assert_eq!(zero.checked().unwrap_err().to_string(), "bandPercent: 0 is not a percentage between 1 and 50");
        assert_eq!(LoadSettings::default().checked(), Ok(LoadSettings::default()));
    }
}
