//! GPU pods sit close together, so that whole hosts stay free for pods that need whole hosts.
//!
//! Decides how well one pod would sit on one node, as a [`Score`]; whether it fits there is decided before,
//! by kube-scheduler's NodeResourcesFit and by the filters. There are two ways to score:
//!
//! **Most allocated** ([`most_allocated`]): the fuller the node's GPUs would be, the better. Simple, exact,
//! needs no settings, and the best that is known where pods ask for whole GPUs.
//!
//! **Fragmentation aware** ([`TypicalPods::score`]): the better, the fewer idle GPUs the pod makes useless.
//! An idle GPU is useless to a typical pod that does not fit on its node: because the node is short of CPU,
//! or of GPUs. For a node `n` and typical pods `m`, each with a share `p` of all pods (the shares sum to 1),
//!
//! ```text
//! F(n)  = Σ p(m) × (idle GPUs of n that m cannot use)
//! score = ⌊100 × σ(F(n) before − F(n) after)⌋,   σ(x) = 1 ÷ (1 + e⁻ˣ),   in GPUs
//! ```
//!
//! which is the fragmentation gradient descent of "Beware of Fragmentation" (USENIX ATC 2023). The score is
//! 0 to 99; 50 means that nothing changes. Many nodes get the same: published results hold only with the
//! name of the node as the tie-break; among equals at random it loses five points of GPU allocation. A
//! guest's score is one integer, so the tie-break is a second plugin of weight 1 beside this one's weight
//! 100: upstream's own MostAllocated on the GPU names. Then equal scores go to the fuller node.
//!
//! A pod without GPUs can only take cores that an idle GPU needed, so F never falls, and the half of the
//! range above 50 is free for the tie-break that upstream's score does not give such a pod:
//!
//! ```text
//! score = 50 + fullness of the node's GPUs ÷ 2   where F stays as it is: 50 on an unused host, 100 on a full one
//! ```
//!
//! Without it pods that want only cores would start on untouched hosts, and nearly six points be lost again.
//! (With gpu-filter on they are never on GPU hosts, and this scores nothing.)
//!
//! A scheduler plugin is told how many GPUs of a node are requested, not which: its devices are all whole.
//! The simulator also knows parts of devices and asks [`TypicalPods::place`] for the device as well.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt;

use weir_model::Amount;

use crate::Score;

/// A GPU in thousandths.
const WHOLE: i64 = 1000;
/// The most idle thousandths that a node is taken to have: no sum below leaves 64 bits.
const MOST_IDLE: i64 = 1000 * WHOLE;
/// The largest sum of the weights of typical pods, for the same reason.
const MOST_WEIGHT: i64 = 1_000_000_000;
/// Typical are the most frequent shapes that together are this percentage of all pods.
const TYPICAL_PERCENT: i64 = 95;

/// How full the node's GPUs would be with the pod: `100 × (requested + wanted) ÷ allocatable`, rounded down.
///
/// The three are of one unit, whole GPUs or thousandths. 100 when more is asked for than there is (the
/// filters decide whether that may be), and 0 when the node has none. It is the arithmetic of upstream's
/// MostAllocated with these GPUs as its only resource, except that a pod without GPUs gets the node's
/// present fullness and not 0.
///
/// ```
/// use weir_model::Amount;
/// use weir_placement::binpack::most_allocated;
/// let gpus = Amount::new;
/// // On a host with 8 GPUs of which 5 are taken, a pod that wants one more.
/// assert_eq!(most_allocated(gpus(8), gpus(5), gpus(1)).points(), 75);
/// assert_eq!(most_allocated(gpus(8), gpus(0), gpus(1)).points(), 12);
/// ```
#[must_use]
pub fn most_allocated(allocatable: Amount, requested: Amount, wanted: Amount) -> Score {
    let full = (requested + wanted).min(allocatable);
    Score::new(full.scale(100, allocatable.units()).units())
}

/// What a pod wants of a node, as far as fragmentation goes.
///
/// ```
/// use weir_model::Amount;
/// use weir_placement::binpack::{GpuRequest, Shape};
/// let trainer = Shape { cpu_milli: Amount::new(8_000), gpus: GpuRequest::Whole(2) };
/// let notebook = Shape { cpu_milli: Amount::new(1_000), gpus: GpuRequest::Part(250) };
/// assert_eq!((trainer.gpus.milli(), notebook.gpus.milli()), (2_000, 250));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// Thousandths of a core.
    pub cpu_milli: Amount,
    /// Its GPUs.
    pub gpus: GpuRequest,
}

/// The GPUs that a pod wants.
///
/// ```
/// use weir_placement::binpack::GpuRequest;
/// assert_eq!([GpuRequest::Nothing, GpuRequest::Part(500), GpuRequest::Whole(8)].map(GpuRequest::milli), [0, 500, 8_000]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GpuRequest {
    /// None.
    Nothing,
    /// So many thousandths of one GPU; 1 to 999.
    Part(u16),
    /// So many GPUs to itself; at least 1.
    Whole(u32),
}

impl GpuRequest {
    /// All of it in thousandths of a GPU.
    #[must_use]
    pub const fn milli(self) -> i64 {
        match self {
            Self::Nothing => 0,
            Self::Part(milli) => milli as i64,
            Self::Whole(count) => count as i64 * WHOLE,
        }
    }
}

/// What a node has left.
///
/// ```
/// use weir_model::Amount;
/// use weir_placement::binpack::{Devices, GpuRequest, Room, Shape};
/// // One of 4 GPUs is untouched, one has 300 thousandths left, two are gone.
/// let room = Room { cpu_milli: Amount::new(4_000), gpus: 4, whole: 1, parts: vec![300] };
/// assert_eq!((room.idle_milli(), room.fullness().points()), (1_300, 67));
/// let pod = |gpus| Shape { cpu_milli: Amount::new(1_000), gpus };
/// assert!(room.fits(&pod(GpuRequest::Part(400))) && !room.fits(&pod(GpuRequest::Whole(2))));
/// let small = pod(GpuRequest::Part(200));
/// assert_eq!(room.choices(&small).collect::<Vec<_>>(), [Devices::Unused, Devices::Part(0)]);
/// assert_eq!(room.after(&small, Devices::Part(0)).parts, [100]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Room {
    /// Thousandths of a core.
    pub cpu_milli: Amount,
    /// How many GPUs it has in all, used or not.
    pub gpus: u32,
    /// The number of GPUs that no pod uses.
    pub whole: u32,
    /// What is left of each GPU that is used in part, in thousandths (0 to 999), in any order. Always empty
    /// where GPUs are given out whole.
    pub parts: Vec<u16>,
}

/// Which GPUs of a node a pod gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// Unused ones, as many as it wants (none for a pod without GPUs).
    Unused,
    /// What is left of the one at this position of [`Room::parts`].
    Part(usize),
}

impl Room {
    /// Idle GPU time on all devices together, in thousandths of a GPU.
    #[must_use]
    pub fn idle_milli(&self) -> i64 {
        i64::from(self.whole) * WHOLE + self.parts.iter().map(|&part| i64::from(part)).sum::<i64>()
    }

    /// How full the GPUs are now; without any, none is idle, so they are full.
    #[must_use]
    pub fn fullness(&self) -> Score {
        let has = i64::from(self.gpus) * WHOLE;
        match has {
            0 => Score::MAX,
            _ => most_allocated(Amount::new(has), Amount::new(has - self.idle_milli()), Amount::ZERO),
        }
    }

    /// Whether a pod of this shape would fit.
    #[must_use]
    pub fn fits(&self, pod: &Shape) -> bool {
        self.cpu_milli >= pod.cpu_milli
            && match pod.gpus {
                GpuRequest::Nothing => true,
                GpuRequest::Whole(count) => count <= self.whole,
                GpuRequest::Part(milli) => self.whole > 0 || self.parts.iter().any(|&part| part >= milli),
            }
    }

    /// The choices of devices that a pod has here; none if it does not fit.
    pub fn choices(&self, pod: &Shape) -> impl Iterator<Item = Devices> {
        let wanted = match pod.gpus {
            GpuRequest::Part(milli) => milli,
            GpuRequest::Nothing | GpuRequest::Whole(_) => u16::MAX,
        };
        let fits = self.fits(pod);
        let unused = fits && (wanted == u16::MAX || self.whole > 0);
        let parts = self.parts.iter().enumerate().filter(move |&(_, &part)| fits && part >= wanted);
        unused.then_some(Devices::Unused).into_iter().chain(parts.map(|(at, _)| Devices::Part(at)))
    }

    /// What is left once a pod of this shape has these devices.
    ///
    /// What the pod wants beyond what there is counts as all there is: two schedulers may have given the
    /// same place away, and a score must still come out.
    #[must_use]
    pub fn after(&self, pod: &Shape, devices: Devices) -> Self {
        let mut left = Self { cpu_milli: self.cpu_milli.minus(pod.cpu_milli), ..self.clone() };
        match (pod.gpus, devices) {
            (GpuRequest::Nothing, _) => {}
            (GpuRequest::Whole(count), _) => left.whole = left.whole.saturating_sub(count),
            (GpuRequest::Part(milli), Devices::Part(at)) => {
                if let Some(part) = left.parts.get_mut(at) {
                    *part = part.saturating_sub(milli);
                }
            }
            (GpuRequest::Part(milli), Devices::Unused) => {
                left.whole = left.whole.saturating_sub(1);
                left.parts.push(1000_u16.saturating_sub(milli));
            }
        }
        left
    }
}

/// The pods that usually come, by shape: what an idle GPU is measured against.
///
/// ```
/// use weir_model::Amount;
/// use weir_placement::binpack::{GpuRequest, Room, Shape, TypicalPods};
/// let pod = |cores: i64, gpus| Shape { cpu_milli: Amount::new(cores * 1000), gpus: GpuRequest::Whole(gpus) };
/// // Three pods in four want one GPU and 8 cores, one in four wants a whole host with 8 GPUs.
/// let typical = TypicalPods::new([(pod(8, 1), 3), (pod(64, 8), 1)])?;
///
/// let untouched = Room { cpu_milli: Amount::new(96_000), gpus: 8, whole: 8, parts: vec![] };
/// let started = Room { cpu_milli: Amount::new(72_000), gpus: 8, whole: 5, parts: vec![] };
/// // On the untouched host all 8 GPUs are of use to every pod; with 7 left, the big pod can use none:
/// // F goes from 0 to 7 × ¼, and 100 × σ(−1.75) = 14.8.
/// assert_eq!(typical.score(&untouched, &pod(8, 1)).points(), 14);
/// // On the started host the big pod fits no more anyway: F falls from 5 × ¼ to 4 × ¼, 100 × σ(¼) = 56.2.
/// assert_eq!(typical.score(&started, &pod(8, 1)).points(), 56);
/// # Ok::<(), weir_placement::binpack::TypicalPodsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypicalPods {
    /// Shapes with their weights, none of them 0.
    pods: Vec<(Shape, u32)>,
    /// The sum of the weights, 1 to [`MOST_WEIGHT`].
    weight: i64,
}

impl TypicalPods {
    /// Typical pods with their weights, which count relative to each other. Weight 0 leaves one out.
    ///
    /// # Errors
    /// When no pod has a weight, or the weights are too large together.
    pub fn new(pods: impl IntoIterator<Item = (Shape, u32)>) -> Result<Self, TypicalPodsError> {
        let pods: Vec<_> = pods.into_iter().filter(|&(_, weight)| weight > 0).collect();
        match pods.iter().map(|&(_, weight)| i64::from(weight)).sum() {
            0 => Err(TypicalPodsError::NoWeight),
            weight @ 1..=MOST_WEIGHT => Ok(Self { pods, weight }),
            _ => Err(TypicalPodsError::TooMuchWeight),
        }
    }

    /// Learns them from pods that came before: the most frequent shapes that together are 95 % of all.
    ///
    /// # Errors
    /// When there is no pod, or there are more than 10⁹.
    pub fn learn(pods: impl IntoIterator<Item = Shape>) -> Result<Self, TypicalPodsError> {
        let mut counts = BTreeMap::<Shape, u32>::new();
        for pod in pods {
            let count = counts.entry(pod).or_default();
            *count = count.saturating_add(1);
        }
        let all = Self::new(counts)?;
        let mut by_frequency = all.pods;
        by_frequency.sort_by_key(|&(shape, count)| (Reverse(count), shape));
        let mut seen = 0;
        by_frequency.retain(|&(_, count)| {
            let typical = seen * 100 < all.weight * TYPICAL_PERCENT;
            seen += i64::from(count);
            typical
        });
        Self::new(by_frequency)
    }

    /// How many different shapes are typical.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Never: there is at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// F of what a node has left, in millionths of a GPU, rounded down.
    #[must_use]
    pub fn fragmentation_micro(&self, room: &Room) -> i64 {
        (self.weighted(room) * 1000).div_euclid(self.weight)
    }

    /// How well the pod would sit where a node has this much left, on the best of its devices.
    ///
    /// A pod that does not fit is scored as if it took all there is: which pod may run where is decided elsewhere.
    #[must_use]
    pub fn score(&self, room: &Room, pod: &Shape) -> Score {
        self.place(room, pod)
            .map_or_else(|| self.points(room, pod, self.gain(room, pod, Devices::Unused)), |(score, _)| score)
    }

    /// The score and the devices that give it; `None` if the pod does not fit.
    ///
    /// Devices are compared by the exact change of F and not by the rounded score, so a difference of less
    /// than a point still counts; of equal ones the one with the least left is taken, and an unused one last.
    #[must_use]
    pub fn place(&self, room: &Room, pod: &Shape) -> Option<(Score, Devices)> {
        let left = |devices| match devices {
            Devices::Part(at) => room.parts.get(at).copied().unwrap_or(u16::MAX),
            Devices::Unused => u16::MAX,
        };
        let choices = room.choices(pod).map(|devices| (self.gain(room, pod, devices), devices));
        let best = choices.max_by_key(|&(gain, devices)| (gain, Reverse(left(devices))));
        best.map(|(gain, devices)| (self.points(room, pod, gain), devices))
    }

    /// How much F falls, weighted.
    fn gain(&self, room: &Room, pod: &Shape, devices: Devices) -> i64 {
        self.weighted(room) - self.weighted(&room.after(pod, devices))
    }

    /// The points for a fall of F.
    fn points(&self, room: &Room, pod: &Shape, weighted: i64) -> Score {
        match (pod.gpus, weighted) {
            (GpuRequest::Nothing, 0) => Score::new(50 + i64::from(room.fullness().points()) / 2),
            _ => sigmoid((weighted * 1000).div_euclid(self.weight)),
        }
    }

    /// F in thousandths of a GPU times the sum of the weights: exact, below 10¹⁵.
    fn weighted(&self, room: &Room) -> i64 {
        let idle = room.idle_milli().min(MOST_IDLE);
        let useless = |pod: &Shape| match pod.gpus {
            _ if !room.fits(pod) => idle,
            GpuRequest::Nothing => idle,
            GpuRequest::Part(milli) => too_small(room, milli).min(idle),
            GpuRequest::Whole(_) => too_small(room, 1000).min(idle),
        };
        self.pods.iter().map(|(pod, weight)| i64::from(*weight) * useless(pod)).sum()
    }
}

/// The thousandths that are left on devices with less than `wanted`.
fn too_small(room: &Room, wanted: u16) -> i64 {
    room.parts.iter().filter(|&&part| part < wanted).map(|&part| i64::from(part)).sum()
}

/// Where 100 × σ passes 51, 52, … 99: the millionths of ln(k ÷ (100 − k)), rounded down.
#[rustfmt::skip]
const STEPS: [i64; 49] = [
    40_005, 80_042, 120_144, 160_342, 200_670, 241_162, 281_851, 322_773, 363_965, 405_465,
    447_312, 489_548, 532_216, 575_364, 619_039, 663_294, 708_185, 753_771, 800_119, 847_297,
    895_384, 944_461, 994_622, 1_045_968, 1_098_612, 1_152_679, 1_208_311, 1_265_666, 1_324_925, 1_386_294,
    1_450_010, 1_516_347, 1_585_627, 1_658_228, 1_734_601, 1_815_289, 1_900_958, 1_992_430, 2_090_741, 2_197_224,
    2_313_634, 2_442_347, 2_586_689, 2_751_535, 2_944_438, 3_178_053, 3_476_098, 3_891_820, 4_595_119,
];

/// `⌊100 × σ(micro ÷ 10⁶)⌋`, 0 to 99, exact for every whole number of millionths.
///
/// σ(x) reaches k ÷ 100 where x reaches ln(k ÷ (100 − k)), so the rounded sigmoid is a staircase with 99
/// known steps, and σ(−x) = 1 − σ(x) leaves 49 of them. A series or a rational function would need more code
/// and be off by one somewhere; the steps are irrational, so none falls on a whole millionth except at 0.
fn sigmoid(micro: i64) -> Score {
    let passed = |distance: i64| i64::try_from(STEPS.partition_point(|&step| step < distance)).unwrap_or(0);
    Score::new(if micro >= 0 { 50 + passed(micro) } else { 49 - passed(micro.saturating_neg()) })
}

/// What is wrong with a list of typical pods.
///
/// ```
/// use weir_placement::binpack::{TypicalPods, TypicalPodsError};
/// assert_eq!(TypicalPods::new(vec![]).err(), Some(TypicalPodsError::NoWeight));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypicalPodsError {
    /// Nothing in it counts.
    NoWeight,
    /// The weights sum to more than 10⁹.
    TooMuchWeight,
}

impl fmt::Display for TypicalPodsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoWeight => "typicalPods: no pod has a weight above 0; list at least one",
            Self::TooMuchWeight => "typicalPods: the weights sum to more than 1000000000; scale them down",
        })
    }
}

impl core::error::Error for TypicalPodsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn pod(cores: i64, gpus: GpuRequest) -> Shape {
        Shape { cpu_milli: Amount::new(cores * 1000), gpus }
    }

    fn room(cores: i64, whole: u32, parts: &[u16]) -> Room {
        let gpus = whole + u32::try_from(parts.len()).unwrap();
        Room { cpu_milli: Amount::new(cores * 1000), gpus, whole, parts: parts.into() }
    }

    /// A quarter each: no GPU, half a GPU, one GPU with many cores, two GPUs.
    fn quarters() -> TypicalPods {
        let shapes = [
            pod(1, GpuRequest::Nothing),
            pod(1, GpuRequest::Part(500)),
            pod(16, GpuRequest::Whole(1)),
            pod(4, GpuRequest::Whole(2)),
        ];
        TypicalPods::new(shapes.map(|shape| (shape, 1))).unwrap()
    }

    #[test]
    fn most_allocated_prefers_the_fuller_host_and_leaves_the_empty_one() {
        let gpus = Amount::new;
        let points = |allocatable, requested| most_allocated(gpus(allocatable), gpus(requested), gpus(1)).points();
        assert_eq!([points(8, 7), points(8, 3), points(8, 0), points(1, 0)], [100, 50, 12, 100]);
    }

    #[test]
    fn most_allocated_answers_for_hosts_that_make_no_sense() {
        let gpus = Amount::new;
        assert_eq!(most_allocated(gpus(0), gpus(0), gpus(1)), Score::MIN);
        assert_eq!(most_allocated(gpus(0), gpus(8), gpus(1)), Score::MIN);
        assert_eq!(most_allocated(gpus(8), Amount::MAX, gpus(1)), Score::MAX);
        assert_eq!(most_allocated(Amount::MAX, Amount::MAX, Amount::MAX), Score::MAX);
    }

    #[test]
    fn an_idle_gpu_is_a_fragment_for_each_typical_pod_that_cannot_use_it() {
        // 2 idle GPUs and 300 thousandths, 20 cores. No GPU wanted: 2.3 useless. Half a GPU: the part is too
        // small, 0.3. One GPU: 0.3. Two GPUs: 0.3. In all 3.2 ÷ 4.
        assert_eq!(quarters().fragmentation_micro(&room(20, 2, &[300])), 800_000);
        // With 8 cores the pod that wants 16 can use none: 2.3 + 0.3 + 2.3 + 0.3 = 5.2.
        assert_eq!(quarters().fragmentation_micro(&room(8, 2, &[300])), 1_300_000);
        // Half a GPU fits into what is left of a device, nothing else does: 0.6 × 3 + 0.
        assert_eq!(quarters().fragmentation_micro(&room(20, 0, &[600])), 450_000);
        // No idle GPU, no fragment.
        assert_eq!(quarters().fragmentation_micro(&room(0, 0, &[0, 0])), 0);
    }

    #[test]
    fn a_part_of_a_gpu_goes_where_it_makes_least_useless() {
        let half = pod(1, GpuRequest::Part(500));
        let (score, devices) = quarters().place(&room(20, 2, &[700, 500, 200]), &half).unwrap();
        // Filling up the 500 leaves nothing over; breaking an unused GPU would take it from two pods.
        assert_eq!(devices, Devices::Part(1));
        // Before: 3.4 + 0.2 + 1.4 + 1.4 = 6.4; after: 2.9 + 0.2 + 0.9 + 0.9 = 4.9; 1.5 ÷ 4, 100 × σ(0.375) = 59.3.
        assert_eq!(score.points(), 59);
        assert_eq!(quarters().score(&room(20, 2, &[700, 500, 200]), &half), score);
    }

    #[test]
    fn a_pod_that_does_not_fit_has_no_place_but_a_score_still_comes_out() {
        let eight = pod(4, GpuRequest::Whole(8));
        assert_eq!(quarters().place(&room(20, 2, &[]), &eight), None);
        // As if it took all there is: 2 + 0 + 0 + 0 before, nothing left after.
        assert_eq!(quarters().score(&room(20, 2, &[]), &eight).points(), 62);
        assert_eq!(quarters().score(&Room::default(), &eight).points(), 50);
    }

    #[test]
    fn a_pod_without_gpus_costs_what_its_cores_were_needed_for() {
        let web = pod(8, GpuRequest::Nothing);
        // 20 cores − 8 leave 12, and the pod that wants 16 loses both GPUs: −2 ÷ 4, 100 × σ(−0.5) = 37.8.
        assert_eq!(quarters().place(&room(20, 2, &[]), &web), Some((Score::new(37), Devices::Unused)));
    }

    #[test]
    fn a_pod_without_gpus_that_harms_nobody_goes_to_the_fullest_gpus() {
        let web = pod(8, GpuRequest::Nothing);
        let points = |room: &Room| quarters().score(room, &web).points();
        assert_eq!(points(&room(64, 2, &[])), 50);
        assert_eq!(points(&room(64, 1, &[500])), 62);
        assert_eq!(points(&room(64, 0, &[0, 0])), 100);
        // A CPU host has no GPU that could lie idle.
        assert_eq!(points(&room(64, 0, &[])), 100);
    }

    #[test]
    fn the_sigmoid_is_the_rounded_down_real_one() {
        // Beside each x in millionths: 100 × σ(x) with four decimals.
        let cases = [
            (0, 50),          // 50.0000
            (-1, 49),         // 49.99998
            (1_000_000, 73),  // 73.1059
            (-1_000_000, 26), // 26.8941
            (40_005, 50),     // 50.999984
            (40_006, 51),     // 51.000009
            (-40_005, 49),    // 49.000016
            (-40_006, 48),    // 48.999991
            (1_386_294, 79),  // 79.999994
            (1_386_295, 80),  // 80.000010
            (4_595_119, 98),  // 98.9999999
            (4_595_120, 99),  // 99.0000000
            (-4_595_119, 1),  //  1.0000001
            (-4_595_120, 0),  //  0.9999999
            (i64::MAX, 99),
            (i64::MIN, 0),
        ];
        for (micro, points) in cases {
            assert_eq!(i64::from(sigmoid(micro).points()), points, "σ({micro}e-6)");
        }
    }

    #[test]
    fn the_table_of_steps_agrees_with_floating_point_everywhere() {
        for micro in (-9_000_000..9_000_000_i64).step_by(997) {
            #[expect(clippy::cast_precision_loss, reason = "the numbers are far below 2⁵³")]
            let real = 100.0 / (1.0 + std::primitive::f64::exp(-(micro as f64) / 1e6));
            assert_eq!(f64::from(sigmoid(micro).points()), real.floor(), "σ({micro}e-6)");
        }
    }

    #[test]
    fn the_largest_room_and_weight_do_not_overflow() {
        let typical = TypicalPods::new([(pod(1, GpuRequest::Whole(9)), 1_000_000_000)]).unwrap();
        let huge = Room { cpu_milli: Amount::ZERO, gpus: u32::MAX, whole: u32::MAX, parts: vec![999; 100] };
        assert_eq!(typical.fragmentation_micro(&huge), 1_000_000_000);
        assert_eq!(typical.score(&huge, &pod(1, GpuRequest::Whole(u32::MAX))).points(), 99);
    }

    #[test]
    fn the_most_frequent_shapes_up_to_95_percent_are_typical() {
        let shapes = [(pod(1, GpuRequest::Whole(1)), 60), (pod(2, GpuRequest::Whole(1)), 34)];
        let rare =
            [(pod(3, GpuRequest::Whole(1)), 3), (pod(4, GpuRequest::Whole(1)), 2), (pod(5, GpuRequest::Nothing), 1)];
        let seen = shapes.iter().chain(&rare).flat_map(|&(shape, count)| core::iter::repeat_n(shape, count));
        let typical = TypicalPods::learn(seen).unwrap();
        // 60 + 34 is 94; the next most frequent brings it to 97, and there it ends.
        assert_eq!(typical.len(), 3);
        // The shares are taken anew among them: one GPU without cores is useless to 97 of 97.
        assert_eq!(typical.fragmentation_micro(&room(0, 1, &[])), 1_000_000);
    }

    #[test]
    fn a_list_of_typical_pods_without_weight_says_what_to_do() {
        let none = TypicalPods::new([(pod(1, GpuRequest::Nothing), 0)]).unwrap_err();
        assert_eq!(none.to_string(), "typicalPods: no pod has a weight above 0; list at least one");
        let much = TypicalPods::new([(pod(1, GpuRequest::Nothing), u32::MAX)]).unwrap_err();
        assert_eq!(much, TypicalPodsError::TooMuchWeight);
    }
}
