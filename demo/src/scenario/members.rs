//! The trace's pods divided among the pools, the same for the same seed.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use weir_api::names;
use weir_simulator::openb::TracePod;

use super::leaves::{LEAVES, Leaf, SPECIAL, Use};

/// How many pods make a gang, in turn.
const GANG_SIZES: [usize; 4] = [4, 2, 8, 4];
/// Of so many gangs that could be made, one is; the other pods stay alone.
const ONE_GANG_IN: u64 = 3;
/// The last pod of one gang comes this late, in hundredths of the whole replay.
const LATE: u32 = 80;

/// A pod of the trace and when it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arriving<'a> {
    /// Since the replay began.
    pub(crate) at: Duration,
    /// The pod.
    pub(crate) pod: &'a TracePod,
}

/// The part of a pod in the pools: its arrival, pool, preemptibility and gang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// When it comes: as it was to, except the last pod of the gang that has to wait.
    pub(crate) at: Duration,
    /// Its pool, a leaf of [`tree`](super::pools::tree).
    pub(crate) pool: &'static str,
    /// Whether it may be taken back.
    pub(crate) preemptible: bool,
    /// The gang that it comes with.
    pub(crate) gang: Option<GangPlan>,
}

/// A gang's name, and how many pods it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GangPlan {
    /// Unique in the run.
    pub(crate) name: String,
    /// At least 2.
    pub(crate) size: usize,
    /// Whether one of its pods comes long after the others.
    pub(crate) held_up: bool,
}

/// Divides pods, given in the order in which they come, among the leaves of the tree; the answer has one
/// entry for each, in the same order. The same seed always gives the same.
///
/// A pod that only a special model takes goes to the organisation that has it. Gangs are pods of research
/// that ask for the same, one after the other.
#[must_use]
pub(crate) fn members(coming: &[Arriving<'_>], seed: u64) -> Vec<Member> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let leaves: Vec<&Leaf> = coming.iter().map(|coming| leaf_for(coming.pod, &mut random)).collect();
    let alone = |(coming, leaf): (&Arriving<'_>, &&Leaf)| Member {
        at: coming.at,
        pool: leaf.name,
        preemptible: leaf.use_ == Use::Research,
        gang: None,
    };
    let mut members: Vec<Member> = coming.iter().zip(&leaves).map(alone).collect();
    make_gangs(coming, &leaves, &mut random, &mut members);
    hold_one_up(coming, &mut members);
    members
}

fn leaf_for(pod: &TracePod, random: &mut ChaCha8Rng) -> &'static Leaf {
    let owner = match pod.models.as_slice() {
        [model] => SPECIAL.iter().find(|(_, special)| special == model).map(|(owner, _)| *owner),
        _ => None,
    };
    let may = |leaf: &&Leaf| owner.is_none_or(|owner| leaf.organisation == owner);
    let all: u64 = LEAVES.iter().filter(may).map(|leaf| leaf.pods).sum();
    let mut drawn = random.next_u64() % all.max(1);
    for leaf in LEAVES.iter().filter(may) {
        match drawn.checked_sub(leaf.pods) {
            Some(left) => drawn = left,
            None => return leaf,
        }
    }
    &LEAVES[0]
}

/// Pods of one pool that ask for the same, in the order in which they come; some bunches become gangs.
fn make_gangs(coming: &[Arriving<'_>], leaves: &[&Leaf], random: &mut ChaCha8Rng, members: &mut [Member]) {
    let mut bunches: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    let (mut made, mut seen) = (0, 0);
    for (at, (coming, leaf)) in coming.iter().zip(leaves).enumerate() {
        let TracePod { cpu_milli, memory_mib, gpus, models, .. } = coming.pod;
        if leaf.use_ == Use::Production || *gpus == 0 {
            continue;
        }
        let bunch = bunches.entry((leaf.name, *gpus, *cpu_milli, *memory_mib, models)).or_default();
        bunch.push(at);
        if bunch.len() < GANG_SIZES[made % GANG_SIZES.len()] {
            continue;
        }
        let bunch = std::mem::take(bunch);
        seen += 1;
        // The first that could be one is one: a small run has a gang, too.
        if seen > 1 && !random.next_u64().is_multiple_of(ONE_GANG_IN) {
            continue;
        }
        let gang = GangPlan { name: format!("{}-gang-{made}", leaf.name), size: bunch.len(), held_up: false };
        bunch.into_iter().for_each(|at| members[at].gang = Some(gang.clone()));
        made += 1;
    }
}

/// The largest gang waits long for its last pod; of several as large the first.
fn hold_one_up(coming: &[Arriving<'_>], members: &mut [Member]) {
    let end = coming.iter().map(|coming| coming.at).max().unwrap_or_default();
    let largest = members.iter().filter_map(|member| member.gang.as_ref()).map(|gang| gang.size).max();
    let of_size = |gang: &&GangPlan| Some(gang.size) == largest;
    let Some(name) =
        members.iter().filter_map(|member| member.gang.as_ref()).find(of_size).map(|gang| gang.name.clone())
    else {
        return;
    };
    let (mut last, is) = (None, |gang: &&mut GangPlan| gang.name == name);
    for (at, member) in members.iter_mut().enumerate() {
        if let Some(gang) = member.gang.as_mut().filter(is) {
            gang.held_up = true;
            last = Some(at);
        }
    }
    if let Some(last) = last {
        members[last].at = members[last].at.max(end * LATE / 100);
    }
}

impl Member {
    /// Writes pool, preemptibility and gang on a pod, as a user would: its creation asks for admission.
    pub(crate) fn annotate(&self, pod: &mut Pod) {
        let Self { at: _, pool, preemptible, gang } = self;
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(names::POOL.to_owned(), (*pool).to_owned());
        let preemptible = if *preemptible { names::TRUE } else { names::FALSE };
        annotations.insert(names::PREEMPTIBLE.to_owned(), preemptible.to_owned());
        if let Some(GangPlan { name, size, held_up: _ }) = gang {
            annotations.insert(names::GANG_SIZE.to_owned(), size.to_string());
            pod.metadata.labels.get_or_insert_default().insert(names::GANG.to_owned(), name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use weir_simulator::openb::{folder, read_pods, sample};

    use super::*;

    fn pods(count: usize) -> Vec<TracePod> {
        let all = read_pods(&folder().join("openb_pod_list_gpuspec33.csv")).unwrap();
        sample(&all, count, 42, |pod| (pod.gpus, pod.models.clone(), pod.cpu_milli))
    }

    fn coming(pods: &[TracePod]) -> Vec<Arriving<'_>> {
        pods.iter().zip(0..).map(|(pod, second)| Arriving { at: Duration::from_secs(second), pod }).collect()
    }

    #[test]
    fn a_seed_always_divides_the_same_way_and_another_does_not() {
        let pods = pods(500);
        let coming = coming(&pods);
        assert_eq!(members(&coming, 7), members(&coming, 7));
        assert_ne!(members(&coming, 7), members(&coming, 8));
    }

    #[test]
    fn every_leaf_gets_pods_and_special_models_go_to_those_who_have_them() {
        let pods = pods(2000);
        let members = members(&coming(&pods), 42);
        let pools: BTreeSet<&str> = members.iter().map(|member| member.pool).collect();
        assert_eq!(pools.len(), 6);
        for (member, pod) in members.iter().zip(&pods) {
            match pod.models.as_slice() {
                [model] if model == "G3" => assert!(member.pool.starts_with("vision"), "{}", pod.name),
                [model] if model == "V100M32" => assert!(member.pool.starts_with("speech"), "{}", pod.name),
                _ => {}
            }
            assert_eq!(member.preemptible, member.pool.ends_with("research"));
        }
    }

    #[test]
    fn members_of_a_gang_ask_for_the_same_in_one_pool_and_there_are_as_many_as_it_says() {
        let pods = pods(2000);
        let members = members(&coming(&pods), 42);
        let mut gangs: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, gang) in members.iter().enumerate().filter_map(|(at, member)| Some((at, member.gang.as_ref()?))) {
            gangs.entry(&gang.name).or_default().push(at);
        }
        assert!(gangs.len() > 20, "{}", gangs.len());
        for at in gangs.values() {
            let first = at[0];
            assert_eq!(members[first].gang.as_ref().unwrap().size, at.len());
            assert!(at.iter().all(|&other| members[other].pool == members[first].pool && members[other].preemptible));
            let asks = |at: usize| (pods[at].gpus, pods[at].cpu_milli, pods[at].memory_mib, &pods[at].models);
            assert!(at.iter().all(|&other| asks(other) == asks(first)));
        }
    }

    #[test]
    fn one_gang_waits_long_for_its_last_pod_and_everybody_else_comes_in_time() {
        let pods = pods(2000);
        let coming = coming(&pods);
        let members = members(&coming, 42);
        let late: Vec<usize> = (0..members.len()).filter(|&at| members[at].at != coming[at].at).collect();
        let [late] = late.as_slice() else { panic!("{late:?}") };
        assert_eq!(members[*late].at, Duration::from_millis(1_599_200));
        let held_up: Vec<usize> =
            (0..members.len()).filter(|&at| members[at].gang.as_ref().is_some_and(|gang| gang.held_up)).collect();
        assert_eq!((held_up.len(), held_up.last()), (8, Some(late)));
    }

    #[test]
    fn a_pod_is_annotated_as_a_user_would_write_it() {
        let gang = GangPlan { name: "g".into(), size: 4, held_up: false };
        let member = Member { at: Duration::ZERO, pool: "vision-research", preemptible: true, gang: Some(gang) };
        let mut pod = Pod::default();
        member.annotate(&mut pod);
        assert_eq!(
            serde_json::to_value(&pod.metadata).unwrap(),
            serde_json::json!({ "labels": { "weir.dev/gang": "g" }, "annotations": { "weir.dev/pool": "vision-research",
                "weir.dev/preemptible": "true", "weir.dev/gang-size": "4" } })
        );
    }

    #[test]
    fn without_pods_nothing_is_divided() {
        assert_eq!(members(&[], 1), []);
    }
}
