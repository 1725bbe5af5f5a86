//! Whose a run's pods are: a tree of pools that fits the nodes, and the trace's pods divided among them.
//!
//! The trace names no tenants, so they are made up, the same for the same seed: three organisations, each
//! with research, which may be taken back, and production, which may not. Who gets how many pods is not what
//! is reserved for whom: some lend and others borrow. What becomes of them is the sidecar's to decide.
//!
//! ```text
//! cluster
//! ├ vision     50 %   G3
//! │ ├ vision-production     30 %
//! │ └ vision-research       20 %
//! ├ speech     30 %   V100M32
//! │ ├ speech-production     18 %
//! │ └ speech-research       12 %
//! └ ranking    10 %
//!   ├ ranking-production     7 %
//!   └ ranking-research       3 %   takes more pods than that and borrows, but may never have more than 4 %
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use weir_api::names;
use weir_api::pool::{PoolDefaults, PoolResource, ResourcePool, ResourcePoolSpec};
use weir_model::dimension::{CPU, GPU, MEMORY, SKU_PREFIX};
use weir_simulator::openb::{TraceNode, TracePod};

/// A leaf of the tree.
struct Leaf {
    name: &'static str,
    organisation: &'static str,
    /// What it reserves of CPU hosts and general GPUs, in hundredths of what there is.
    reserved: i64,
    /// What it reserves of its organisation's special model, in hundredths.
    of_special: i64,
    /// What it may have at most of general GPUs, in hundredths of what there is; `None` where nothing bounds it.
    at_most: Option<i64>,
    /// Its part of the pods, against those of the others.
    pods: u64,
    use_: Use,
}

/// What a leaf is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// May be taken back, and comes in gangs.
    Research,
    /// Runs within its reservation and stays.
    Production,
}

/// The leaves, children of one organisation side by side.
const LEAVES: [Leaf; 6] = [
    Leaf {
        name: "vision-production",
        organisation: "vision",
        reserved: 30,
        of_special: 50,
        at_most: None,
        pods: 25,
        use_: Use::Production,
    },
    Leaf {
        name: "vision-research",
        organisation: "vision",
        reserved: 20,
        of_special: 50,
        at_most: None,
        pods: 25,
        use_: Use::Research,
    },
    Leaf {
        name: "speech-production",
        organisation: "speech",
        reserved: 18,
        of_special: 60,
        at_most: None,
        pods: 12,
        use_: Use::Production,
    },
    Leaf {
        name: "speech-research",
        organisation: "speech",
        reserved: 12,
        of_special: 40,
        at_most: None,
        pods: 13,
        use_: Use::Research,
    },
    Leaf {
        name: "ranking-production",
        organisation: "ranking",
        reserved: 7,
        of_special: 0,
        at_most: None,
        pods: 5,
        use_: Use::Production,
    },
    Leaf {
        name: "ranking-research",
        organisation: "ranking",
        reserved: 3,
        of_special: 0,
        at_most: Some(4),
        pods: 20,
        use_: Use::Research,
    },
];

/// No limit is below this many GPUs, or there would be pods and gangs that could never run in a small cluster.
const LEAST_LIMIT: i64 = 32;

/// Whose a special model is.
const SPECIAL: [(&str, &str); 2] = [("vision", "G3"), ("speech", "V100M32")];

/// How many pods make a gang, in turn.
const GANG_SIZES: [usize; 4] = [4, 2, 8, 4];
/// Of so many gangs that could be made, one is; the other pods stay alone.
const ONE_GANG_IN: u64 = 3;
/// The last pod of one gang comes this late, in hundredths of the whole replay.
const LATE: u32 = 80;

/// The pools that these nodes are divided into; the root is the cluster and has no object.
#[must_use]
pub fn tree(nodes: &[TraceNode]) -> Vec<ResourcePool> {
    let mut pools: Vec<ResourcePool> = Vec::new();
    for leaf in &LEAVES {
        if pools.iter().all(|pool| pool.metadata.name.as_deref() != Some(leaf.organisation)) {
            let children: Vec<&Leaf> = LEAVES.iter().filter(|other| other.organisation == leaf.organisation).collect();
            pools.push(ResourcePool::new(leaf.organisation, organisation(&children, nodes)));
        }
        let research = leaf.use_ == Use::Research;
        let defaults = PoolDefaults {
            preemptible: Some(research),
            // What comes as a Ray cluster comes as a gang.
            gang_by: research.then(|| names::RAY_CLUSTER.to_owned()),
            ..PoolDefaults::default()
        };
        let spec = ResourcePoolSpec {
            parent: Some(leaf.organisation.to_owned()),
            defaults: Some(defaults),
            resources: limited(leaf, nodes, resources(&Reserved::of(leaf, nodes))),
            ..ResourcePoolSpec::default()
        };
        pools.push(ResourcePool::new(leaf.name, spec));
    }
    pools
}

/// An inner pool reserves what its children reserve.
fn organisation(children: &[&Leaf], nodes: &[TraceNode]) -> ResourcePoolSpec {
    let mut sum = Reserved::new();
    for (name, units) in children.iter().flat_map(|leaf| Reserved::of(leaf, nodes)) {
        *sum.entry(name).or_default() += units;
    }
    ResourcePoolSpec { resources: resources(&sum), ..ResourcePoolSpec::default() }
}

/// Whole units of quantities by dimension: milli-CPU, MiB, devices.
type Reserved = BTreeMap<String, i64>;

trait OfLeaf {
    fn of(leaf: &Leaf, nodes: &[TraceNode]) -> Self;
}

impl OfLeaf for Reserved {
    fn of(leaf: &Leaf, nodes: &[TraceNode]) -> Self {
        let special = |model: &str| SPECIAL.iter().any(|(_, special)| *special == model);
        let mut reserved = Self::new();
        for node in nodes {
            let Some(model) = node.model.as_deref().filter(|_| node.gpus > 0) else {
                *reserved.entry(CPU.to_owned()).or_default() += node.cpu_milli * leaf.reserved;
                *reserved.entry(MEMORY.to_owned()).or_default() += node.memory_mib * leaf.reserved;
                continue;
            };
            if !special(model) {
                *reserved.entry(GPU.to_owned()).or_default() += node.gpus * leaf.reserved;
            } else if SPECIAL.contains(&(leaf.organisation, model)) {
                *reserved.entry(format!("{SKU_PREFIX}{model}")).or_default() += node.gpus * leaf.of_special;
            }
        }
        reserved.into_iter().map(|(name, hundredths)| (name, hundredths / 100)).collect()
    }
}

fn resources(reserved: &Reserved) -> Vec<PoolResource> {
    let resource = |(name, units): (&String, &i64)| {
        let text = match name.as_str() {
            CPU => format!("{units}m"),
            MEMORY => format!("{units}Mi"),
            _ => units.to_string(),
        };
        PoolResource { name: name.clone(), reservation: Some(Quantity(text)), ..PoolResource::default() }
    };
    reserved.iter().map(resource).collect()
}

/// Bounds what a leaf may borrow, where it is bounded.
fn limited(leaf: &Leaf, nodes: &[TraceNode], mut resources: Vec<PoolResource>) -> Vec<PoolResource> {
    let general = |node: &&TraceNode| !SPECIAL.iter().any(|(_, special)| node.model.as_deref() == Some(*special));
    let gpus: i64 = nodes.iter().filter(general).map(|node| node.gpus).sum();
    if let (Some(hundredths), Some(gpu)) = (leaf.at_most, resources.iter_mut().find(|it| it.name == GPU)) {
        gpu.limit = Some(Quantity((gpus * hundredths / 100).max(LEAST_LIMIT).to_string()));
    }
    resources
}

/// A pod of the trace and when it comes.
#[derive(Clone, Copy, Debug)]
pub struct Coming<'a> {
    /// Since the replay began.
    pub at: Duration,
    /// The pod.
    pub pod: &'a TracePod,
}

/// Whose a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// When it comes: as it was to, except the last pod of the gang that has to wait.
    pub at: Duration,
    /// Its pool, a leaf of [`tree`].
    pub pool: &'static str,
    /// Whether it may be taken back.
    pub preemptible: bool,
    /// The gang that it comes with.
    pub gang: Option<Band>,
}

/// A gang's name, and how many pods it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    /// Unique in the run.
    pub name: String,
    /// At least 2.
    pub size: usize,
    /// Whether one of its pods comes long after the others.
    pub held_up: bool,
}

/// Divides pods, given in the order in which they come, among the leaves of [`tree`]; the answer has one
/// entry for each, in the same order. The same seed always gives the same.
///
/// A pod that only a special model takes goes to the organisation that has it. Gangs are pods of research
/// that ask for the same, one after the other.
#[must_use]
pub fn members(coming: &[Coming<'_>], seed: u64) -> Vec<Member> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let leaves: Vec<&Leaf> = coming.iter().map(|coming| leaf_for(coming.pod, &mut random)).collect();
    let alone = |(coming, leaf): (&Coming<'_>, &&Leaf)| Member {
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
fn make_gangs(coming: &[Coming<'_>], leaves: &[&Leaf], random: &mut ChaCha8Rng, members: &mut [Member]) {
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
        let band = Band { name: format!("{}-gang-{made}", leaf.name), size: bunch.len(), held_up: false };
        bunch.into_iter().for_each(|at| members[at].gang = Some(band.clone()));
        made += 1;
    }
}

/// The largest gang waits long for its last pod; of several as large the first.
fn hold_one_up(coming: &[Coming<'_>], members: &mut [Member]) {
    let end = coming.iter().map(|coming| coming.at).max().unwrap_or_default();
    let largest = members.iter().filter_map(|member| member.gang.as_ref()).map(|band| band.size).max();
    let of_size = |band: &&Band| Some(band.size) == largest;
    let Some(name) =
        members.iter().filter_map(|member| member.gang.as_ref()).find(of_size).map(|band| band.name.clone())
    else {
        return;
    };
    let (mut last, is) = (None, |band: &&mut Band| band.name == name);
    for (at, member) in members.iter_mut().enumerate() {
        if let Some(band) = member.gang.as_mut().filter(is) {
            band.held_up = true;
            last = Some(at);
        }
    }
    if let Some(last) = last {
        members[last].at = members[last].at.max(end * LATE / 100);
    }
}

impl Member {
    /// Writes on a pod whose it is, as a user would: its creation asks for admission.
    pub fn dress(&self, pod: &mut Pod) {
        let Self { at: _, pool, preemptible, gang } = self;
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(names::POOL.to_owned(), (*pool).to_owned());
        let preemptible = if *preemptible { names::TRUE } else { names::FALSE };
        annotations.insert(names::PREEMPTIBLE.to_owned(), preemptible.to_owned());
        if let Some(Band { name, size, held_up: _ }) = gang {
            annotations.insert(names::GANG_SIZE.to_owned(), size.to_string());
            pod.metadata.labels.get_or_insert_default().insert(names::GANG.to_owned(), name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use weir_model::Quantity as Parsed;
    use weir_simulator::openb::{folder, read_nodes, read_pods, sample};

    use super::*;

    fn nodes() -> Vec<TraceNode> {
        read_nodes(&folder().join("openb_node_list_all_node.csv")).unwrap()
    }

    fn pods(count: usize) -> Vec<TracePod> {
        let all = read_pods(&folder().join("openb_pod_list_gpuspec33.csv")).unwrap();
        sample(&all, count, 42, |pod| (pod.gpus, pod.models.clone(), pod.cpu_milli))
    }

    fn coming(pods: &[TracePod]) -> Vec<Coming<'_>> {
        pods.iter().zip(0..).map(|(pod, second)| Coming { at: Duration::from_secs(second), pod }).collect()
    }

    fn reserved(pools: &[ResourcePool], pool: &str, dimension: &str) -> i64 {
        let pool = pools.iter().find(|it| it.metadata.name.as_deref() == Some(pool)).unwrap();
        let listed = pool.spec.resources.iter().find(|resource| resource.name == dimension);
        let text = listed.and_then(|resource| resource.reservation.clone()).map_or("0".to_owned(), |it| it.0);
        Parsed::parse(&text).unwrap().amount(dimension).units()
    }

    #[test]
    fn reservations_fit_the_nodes_and_children_fit_their_parent() {
        let pools = tree(&nodes());
        assert_eq!(pools.len(), 9);
        // 5696 general GPUs, 312 `G3`, 204 `V100M32`, 18,496 cores of CPU hosts
        let of = |pool: &str, dimension: &str| reserved(&pools, pool, dimension);
        assert_eq!(["vision", "speech", "ranking"].map(|pool| of(pool, "nvidia.com/gpu")), [2847, 1708, 568]);
        assert_eq!([of("vision-production", "nvidia.com/gpu"), of("vision-research", "nvidia.com/gpu")], [1708, 1139]);
        assert_eq!([of("vision", "sku.weir.dev/G3"), of("speech", "sku.weir.dev/V100M32")], [312, 203]);
        assert_eq!(of("speech", "cpu"), 5_548_800);
        assert_eq!(of("ranking", "sku.weir.dev/G3"), 0);
        let research = pools.iter().find(|pool| pool.metadata.name.as_deref() == Some("ranking-research")).unwrap();
        let limits: Vec<_> =
            research.spec.resources.iter().filter_map(|it| it.limit.as_ref().map(|at| &*at.0)).collect();
        assert_eq!((limits, of("ranking-research", "nvidia.com/gpu")), (vec!["227"], 170));
    }

    #[test]
    fn a_smaller_cluster_reserves_less_and_one_without_a_model_reserves_none_of_it() {
        let few: Vec<TraceNode> =
            nodes().into_iter().filter(|node| node.model.as_deref() != Some("G3")).take(400).collect();
        let pools = tree(&few);
        assert_eq!(reserved(&pools, "vision", "sku.weir.dev/G3"), 0);
        let gpus: i64 = few.iter().filter(|node| node.model.as_deref() != Some("V100M32")).map(|node| node.gpus).sum();
        let all: i64 =
            ["vision", "speech", "ranking"].map(|pool| reserved(&pools, pool, "nvidia.com/gpu")).iter().sum();
        assert!(all <= gpus && all * 10 >= gpus * 8, "{all} of {gpus}");
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
        for (at, band) in members.iter().enumerate().filter_map(|(at, member)| Some((at, member.gang.as_ref()?))) {
            gangs.entry(&band.name).or_default().push(at);
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
            (0..members.len()).filter(|&at| members[at].gang.as_ref().is_some_and(|band| band.held_up)).collect();
        assert_eq!((held_up.len(), held_up.last()), (8, Some(late)));
    }

    #[test]
    fn a_pod_is_dressed_as_a_user_would_write_it() {
        let band = Band { name: "g".into(), size: 4, held_up: false };
        let member = Member { at: Duration::ZERO, pool: "vision-research", preemptible: true, gang: Some(band) };
        let mut pod = Pod::default();
        member.dress(&mut pod);
        assert_eq!(
            serde_json::to_value(&pod.metadata).unwrap(),
            serde_json::json!({ "labels": { "weir.dev/gang": "g" }, "annotations": { "weir.dev/pool": "vision-research",
                "weir.dev/preemptible": "true", "weir.dev/gang-size": "4" } })
        );
    }

    #[test]
    fn nobody_comes_and_nothing_happens() {
        assert_eq!(members(&[], 1), []);
        assert!(tree(&[]).iter().all(|pool| pool.spec.resources.is_empty()));
    }
}
