//! What holds in every history: random clusters, jobs, ends, cordons and changes of pools.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use weir_entitlement::Exclusion;
use weir_queue::{Cause, Config, Decision, Event, Grounds, Phase, PoolConfig, Strategy as Queueing, WithinPool};

use crate::cluster::*;

/// What the pods of a job say of a gang.
#[derive(Clone, Copy, Debug)]
enum Announced {
    Nothing,
    All,
    /// At most so many of them, the others are elastic and go so many at a time.
    Some(u32, u32),
}

fn announced() -> impl Strategy<Value = Announced> {
    prop_oneof![
        2 => Just(Announced::Nothing),
        1 => Just(Announced::All),
        1 => (1..5_u32, 1..3_u32).prop_map(|(size, step)| Announced::Some(size, step)),
    ]
}

/// Something that happens to the cluster.
#[derive(Clone, Debug)]
enum Happening {
    Submit { pool: usize, gpus: i64, pods: u32, gang: Announced, preemptible: bool, priority: i32 },
    Finish(usize),
    Lose(usize),
    Cordon(usize),
    Restore(usize),
    Pass(u64),
    Refuse(usize),
    Limit(i64),
}

const LEAVES: [&str; 5] = ["a1", "a2", "b1", "b2", "c"];
const NODES: usize = 4;

/// ```text
/// cluster   4 hosts × 8 GPUs = 32
/// ├─ a      reserves 16
/// │  ├─ a1  reserves 12
/// │  └─ a2  limit 10
/// ├─ b      reserves 8, limit 24
/// │  ├─ b1  reserves 8, lends within itself by priority
/// │  └─ b2  Strict
/// └─ c      share 3
/// ```
fn tree(limit_of_a2: i64) -> Vec<PoolConfig> {
    let patience = |settings: &mut weir_queue::PoolSettings| settings.patience = Duration::from_secs(40);
    vec![
        pool("a").reserves(GPU, 16),
        pool("a1").under("a").reserves(GPU, 12).with(patience),
        pool("a2").under("a").gives(GPU, 0, Some(limit_of_a2), 1).with(patience),
        pool("b").gives(GPU, 8, Some(24), 1),
        pool("b1").under("b").reserves(GPU, 8).with(|it| it.within_pool = WithinPool::LowerPriority),
        pool("b2").under("b").with(|it| it.strategy = Queueing::Strict).with(patience),
        pool("c").gives(GPU, 0, None, 3),
    ]
}

fn submission() -> impl Strategy<Value = Happening> {
    (0..LEAVES.len(), 1..=8_i64, 1..=6_u32, announced(), 0..4_u8, 0..3).prop_map(
        |(pool, gpus, pods, gang, firm, priority)| Happening::Submit {
            pool,
            gpus,
            pods,
            gang,
            preemptible: firm > 0,
            priority,
        },
    )
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => submission(),
        3 => any::<usize>().prop_map(Happening::Finish),
        2 => any::<usize>().prop_map(Happening::Lose),
        1 => (0..NODES).prop_map(Happening::Cordon),
        2 => (0..NODES).prop_map(Happening::Restore),
        4 => (1..90_u64).prop_map(Happening::Pass),
        1 => any::<usize>().prop_map(Happening::Refuse),
        1 => (1..20_i64).prop_map(Happening::Limit),
    ]
}

fn host(at: usize, excluded: Option<Exclusion>) -> Event {
    Event::Node(weir_queue::Node { excluded, ..gpu_nodes(NODES, 8).swap_remove(at) })
}

impl Happening {
    fn apply(&self, number: usize, cluster: &mut Cluster) {
        match *self {
            Self::Submit { pool, gpus, pods, gang, preemptible, priority } => {
                let job = Job { preemptible, priority, ..job(LEAVES[pool], asks(&[(GPU, gpus)])) };
                let job = match gang {
                    Announced::Nothing => job.times(pods),
                    Announced::All => job.gang(pods),
                    Announced::Some(size, step) => job.times(pods).needs(size.min(pods), step),
                };
                cluster.submit(&format!("job-{number}"), job);
            }
            Self::Finish(which) => {
                let names: Vec<String> = cluster.jobs.keys().cloned().collect();
                if !names.is_empty() {
                    cluster.finish(&names[which % names.len()]);
                }
            }
            Self::Lose(which) => {
                let uids: Vec<_> = cluster.pods.keys().copied().collect();
                if !uids.is_empty() {
                    cluster.replace(uids[which % uids.len()]);
                }
            }
            Self::Cordon(at) => cluster.events.push(host(at, Some(Exclusion::Cordoned))),
            Self::Restore(at) => cluster.events.push(host(at, None)),
            Self::Pass(seconds) => cluster.now = cluster.now.after(Duration::from_secs(seconds)),
            Self::Refuse(which) => {
                let uids: Vec<_> = cluster.pods.keys().copied().collect();
                if !uids.is_empty() {
                    cluster.events.push(Event::EvictionRefused(uids[which % uids.len()]));
                }
            }
            Self::Limit(limit) => cluster.events.push(Event::Pools(tree(limit))),
        }
    }
}

fn start() -> Cluster {
    Cluster::new(tree(10), gpu_nodes(NODES, 8))
}

/// What every decision has to keep.
fn check_decisions(cluster: &Cluster) {
    for decision in &cluster.decisions {
        match decision {
            Decision::Admit(admission) => {
                let within = admission.grounds != Grounds::OnLoan;
                for fact in admission.decided_on.iter().filter(|_| within) {
                    let counts = if fact.pool.0 == admission.pool { fact.usage } else { fact.usage.minus(fact.beyond) };
                    assert!(
                        counts + fact.asked <= fact.entitlement,
                        "{} is beyond its entitlement: {fact:?}",
                        fact.pool
                    );
                }
                let pods = admission.pods.iter().map(|(uid, _)| &cluster.pods[uid]);
                let sizes: BTreeSet<u32> =
                    pods.clone().filter_map(|pod| pod.gang.as_ref()).map(|gang| gang.size).collect();
                // A replaced member goes alone, also on loan; the rest of its gang runs.
                let gang = pods.clone().find_map(|pod| pod.gang.as_ref()).map(|membership| &membership.gang);
                let runs = cluster.pods.values().any(|pod| {
                    pod.phase != Phase::Waiting && gang.is_some() && pod.gang.as_ref().map(|one| &one.gang) == gang
                });
                if !runs {
                    let whole = sizes.first().copied().unwrap_or(1) as usize;
                    assert_eq!(admission.pods.len(), whole, "half a gang: {admission:?}");
                }
                let firm = pods.clone().any(|pod| !pod.preemptible);
                assert!(!(firm && admission.grounds == Grounds::OnLoan), "a loan has to be preemptible");
                assert!(admission.pods.iter().all(|(_, node)| node.is_some()), "admitted without room");
            }
            Decision::Evict(eviction) => {
                let claimant = match &eviction.cause {
                    Cause::Reclaim { claimant, .. } | Cause::WithinPool { claimant, .. } => claimant.as_slice(),
                    Cause::Drain { .. } | Cause::PlacementTimeout { .. } => &[],
                };
                assert!(!claimant.is_empty() && !eviction.victims.is_empty());
                for victim in &eviction.victims {
                    let claimed = claimant.iter().all(|(uid, _)| *uid != victim.uid);
                    assert!(claimed, "a claimant is not its own victim");
                }
            }
            _ => {}
        }
    }
}

/// What holds between steps: the books agree with the pods.
fn check_state(cluster: &Cluster, reservations: &BTreeMap<&str, i64>) {
    let Some(gpu) = cluster.queue.dimensions().find(GPU) else { return };
    for leaf in LEAVES {
        let of = |firm: bool| -> i64 {
            let pods = cluster.pods.values().filter(|pod| &*pod.pool == leaf && pod.phase != Phase::Waiting);
            pods.filter(|pod| !firm || !pod.preemptible).map(|pod| pod.shape.requests[GPU].units()).sum()
        };
        let standing = cluster.queue.standing(cluster.id(leaf), gpu);
        assert_eq!(standing.usage.units(), of(false), "the usage of {leaf}");
        assert_eq!(standing.non_preemptible.units(), of(true), "the non-preemptible usage of {leaf}");
        if let Some(&reserved) = reservations.get(leaf) {
            assert!(of(true) <= reserved, "non-preemptible pods of {leaf} are above its reservation");
        }
    }
    let mut held: BTreeMap<&str, i64> = BTreeMap::new();
    for pod in cluster.pods.values() {
        if let Phase::Admitted(running) = &pod.phase {
            *held.entry(running.node.as_deref().unwrap_or("")).or_default() += pod.shape.requests[GPU].units();
        }
    }
    assert!(held.values().all(|&gpus| gpus <= 8), "more than a host has: {held:?}");
}

/// Steps until nothing happens any more, and checks every step.
fn settle(cluster: &mut Cluster) {
    let reservations = BTreeMap::from([("a1", 12), ("b1", 8)]);
    for _ in 0..8 {
        cluster.step_checked(check_decisions);
        if cluster.events.is_empty() {
            break;
        }
    }
    if cluster.events.is_empty() {
        check_state(cluster, &reservations);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_an_invariant(history in prop::collection::vec(happening(), 1..60)) {
        let mut cluster = start();
        for (number, happening) in history.iter().enumerate() {
            happening.apply(number, &mut cluster);
            settle(&mut cluster);
        }
    }

    #[test]
    fn under_constant_demand_evictions_end(history in prop::collection::vec(happening(), 1..40)) {
        let mut cluster = start();
        for (number, happening) in history.iter().enumerate() {
            happening.apply(number, &mut cluster);
            settle(&mut cluster);
        }
        for _ in 0..60 {
            cluster.now = cluster.now.after(Duration::from_secs(61));
            settle(&mut cluster);
        }
        let before = cluster.evicted.len();
        for _ in 0..60 {
            cluster.now = cluster.now.after(Duration::from_secs(61));
            settle(&mut cluster);
        }
        prop_assert_eq!(cluster.evicted.len(), before, "pods are still being evicted");
    }

    #[test]
    fn the_same_events_give_the_same_decisions(history in prop::collection::vec(happening(), 1..40)) {
        let (mut one, mut other) = (start(), start());
        for (number, happening) in history.iter().enumerate() {
            for cluster in [&mut one, &mut other] {
                happening.apply(number, cluster);
                cluster.step();
            }
            prop_assert_eq!(&one.decisions, &other.decisions);
        }
    }

    #[test]
    fn a_queue_that_remembers_nothing_between_steps_decides_the_same(
        history in prop::collection::vec(happening(), 1..60),
    ) {
        let (mut one, mut other) = (start(), start());
        for (number, happening) in history.iter().enumerate() {
            happening.apply(number, &mut one);
            happening.apply(number, &mut other);
            for _ in 0..3 {
                one.step();
                other.queue.forget_verdicts();
                other.step();
                prop_assert_eq!(&one.decisions, &other.decisions);
                let whys = |cluster: &Cluster| -> Vec<_> {
                    cluster.pods.keys().map(|&uid| cluster.queue.explain(uid)).collect()
                };
                prop_assert_eq!(whys(&one), whys(&other));
            }
        }
    }

    #[test]
    fn what_is_found_at_the_start_does_not_depend_on_the_order_it_is_told_in(
        jobs in prop::collection::vec(submission(), 1..20),
        seed in any::<u64>(),
    ) {
        let mut cluster = start();
        jobs.iter().enumerate().for_each(|(number, job)| job.apply(number, &mut cluster));
        let events = std::mem::take(&mut cluster.events);
        let mut shuffled = events.clone();
        let mut dice = seed | 1;
        for at in (1..shuffled.len()).rev() {
            dice = dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            shuffled.swap(at, (dice >> 33) as usize % (at + 1));
        }
        let decide = |events: Vec<Event>| {
            let mut queue = weir_queue::Queue::new(Box::new(Rules), Config::default());
            let decisions = queue.step(cluster.now, events);
            let mut admitted: Vec<_> = decisions.into_iter().filter_map(|decision| match decision {
                Decision::Admit(admission) => Some((admission.pods, admission.grounds, admission.decided_on)),
                _ => None,
            }).collect();
            admitted.sort_by(|one, other| one.0.cmp(&other.0));
            admitted
        };
        prop_assert_eq!(decide(events), decide(shuffled));
    }
}
