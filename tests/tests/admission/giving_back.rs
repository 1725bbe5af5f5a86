//! C1–C5, A12 and B7 with the real disruption controller: a pool above its entitlement gives back, with a reason
//! first, past no budget, and no pod goes that need not; where a leader is killed in the middle, the next one carries
//! on from its record.
//!
//! No scheduler runs here: a test binds pods and says that they run, and a pod without a grace period is gone
//! when it is evicted.
//!
//! | file | what is shown |
//! |---|---|
//! | this one | whole hosts, notice, budgets, Drain, pods without a place, `enforce: false` |
//! | [`members`] | between the evictions of two members: a leader killed, a budget that turns tight |
//! | [`order`] | which pods go first: loans, and lower priorities within a pool |
//! | [`clock`] | the real scheduler, stopped for longer than its time; the Job that hears of it |

mod clock;
mod members;
mod order;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use weir_tests::history::View;
use weir_tests::namespace::TestNamespace;
use weir_tests::namespace::reclaim::Reason;
use weir_tests::objects::{ADMITTED, PREEMPTED, PodBuilder, condition, is_gated, node, pod};
use weir_tests::world::World;

/// Evictions begin at once, and after two seconds above the entitlement.
pub(crate) const EAGER: &str = "cycle: {adoptionGrace: 0s, reclaimAfter: 2s, evictionRetry: 3s}\n\
                     lease: {duration: 3s, renewBefore: 1s}";

/// ```text
/// cluster        2 hosts × 4 cores
/// ├─ production  reserves 4
/// └─ research    borrows; this stands in its preemption
/// ```
pub(crate) async fn two_pools(world: &Arc<World>, preemption: Value) -> Result<TestNamespace> {
    world.add_node(&node("n1").cores(4)).await?;
    world.add_node(&node("n2").cores(4)).await?;
    let ns = world.namespace("team").await?;
    ns.create_pool_of("production", "4").await?;
    ns.create_pool("research", json!({ "preemption": preemption })).await?;
    Ok(ns)
}

/// A preemptible pod of research that asks for this many cores.
pub(crate) fn research(name: &str, cores: &str) -> PodBuilder {
    pod(name).pool("research").preemptible().cpu(cores).without_grace()
}

/// A pod of production that asks for this many cores.
pub(crate) fn production(name: &str, cores: &str) -> PodBuilder {
    pod(name).pool("production").cpu(cores)
}

/// The names of the pods of research that are there.
pub(crate) async fn staying(ns: &TestNamespace) -> Result<BTreeSet<String>> {
    ns.pods_of_pool("research").await
}

/// Whether a pod says that it goes, or that it stays after all.
pub(crate) fn is_told(pod: &Pod) -> bool {
    condition(pod, PREEMPTED).is_some()
}

pub(crate) fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimant_gets_one_whole_host_from_a_pool_above_its_entitlement_and_then_evictions_end() -> Result<()> {
    let world = World::with_sidecar(EAGER).await?;
    let ns = two_pools(&world, json!({})).await?;
    for (name, node) in [("r1", "n1"), ("r2", "n1"), ("r3", "n2"), ("r4", "n2")] {
        ns.run_pod(&research(name, "2"), node).await?;
    }
    ns.create_pod(&production("prod", "4")).await?;
    ns.until_admitted("prod").await?;
    let left = staying(&ns).await?;
    let (first, second) = (names(["r1", "r2"]), names(["r3", "r4"]));
    assert!(left == first || left == second, "one whole host, not one pod of each: {left:?}");
    for name in first.union(&second).filter(|name| !left.contains(*name)) {
        let Reason { reason, message } = ns.until_evicted(name).await?;
        assert_eq!(reason, "Reclaimed");
        let expected = "pool \"research\" uses 8000 cpu and is entitled to 4000; the room goes to pod team/prod";
        assert!(message.starts_with(expected), "{message}");
    }
    // The same demand again is above what production is entitled to: no pod goes for it.
    ns.create_pod(&production("more", "4")).await?;
    ns.until_pod("more", "it waits for its own pool", |pod| condition(pod, ADMITTED).is_some()).await?;
    assert_eq!(staying(&ns).await?, left);
    world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_can_be_taken_back_and_a_leader_killed_between_reason_and_eviction_is_carried_on() -> Result<()> {
    let world = World::with_sidecar(EAGER).await?;
    let ns = two_pools(&world, json!({ "notice": "6s" })).await?;
    ns.run_pod(&research("r1", "4"), "n1").await?;
    ns.run_pod(&research("r2", "4"), "n2").await?;
    ns.create_pod(&production("prod", "4")).await?;
    let given = |seen: View<'_>| seen.past().any(is_told).then_some(());
    ns.until("a pod is given notice", given).await?;
    ns.delete_pod("prod").await?;
    ns.until_one_stays("NotNeeded", "").await?;
    assert_eq!(staying(&ns).await?.len(), 2);

    ns.create_pod(&production("again", "4")).await?;
    let served = |pod: &Pod| condition(pod, ADMITTED).is_some_and(|told| told.reason() == "WaitingForPreemption");
    ns.until_pod("again", "its place is made", served).await?;
    let first = |seen: View<'_>| Some(seen.cluster.round.as_ref()?.spec.victims.first()?.name.clone());
    let recorded = ns.until("a victim is recorded", first).await?;
    let stands = |pod: &Pod| condition(pod, PREEMPTED).is_some_and(|told| told.is_true());
    ns.until_pod(&recorded, "the reason stands on it", stands).await?;
    world.kill_sidecar("a").await?;
    assert_eq!(staying(&ns).await?.len(), 2, "killed before the eviction");
    world.run_sidecar("b", EAGER).await?;
    ns.until_admitted("again").await?;
    let left = staying(&ns).await?;
    assert!(left.len() == 1 && !left.contains(&recorded), "{left:?} and not {recorded}");
    world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_hold_and_a_gang_goes_whole_or_not_at_all() -> Result<()> {
    let world = World::with_sidecar(EAGER).await?;
    let ns = two_pools(&world, json!({})).await?;
    // A gang that a budget keeps together on n1; on n2 one pod under two budgets and one under none.
    for name in ["g1", "g2"] {
        ns.create_pod(&research(name, "2").gang("train", "2").labelled("app", "train")).await?;
    }
    ns.bind("g1", "n1").await?;
    ns.bind("g2", "n1").await?;
    ns.run_pod(&research("twice", "2").labelled("app", "twice"), "n2").await?;
    ns.run_pod(&research("free", "2"), "n2").await?;
    ns.create_budget("train", "train", 1, 1).await?;
    ns.create_budget("twice-a", "twice", 0, 1).await?;
    ns.create_budget("twice-b", "twice", 0, 1).await?;
    ns.create_pod(&production("half", "2")).await?;
    ns.until_admitted("half").await?;
    assert_eq!(staying(&ns).await?, names(["g1", "g2", "twice"]));
    ns.bind("half", "n2").await?;

    // No pod is left that all budgets allow to go.
    ns.create_pod(&production("rest", "2")).await?;
    ns.until_pod("rest", "it waits", |pod| condition(pod, ADMITTED).is_some()).await?;
    // The budget changes, and now all of the gang may go.
    ns.change_budget("train", 0).await?;
    ns.until_admitted("rest").await?;
    // One of the two makes room enough; the other follows, because a gang goes whole.
    ns.until_gone("g1").await?;
    ns.until_gone("g2").await?;
    assert_eq!(staying(&ns).await?, names(["twice"]));
    world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_pool_and_pods_without_a_place_lose_theirs_and_owners_back_off() -> Result<()> {
    let shorter = "cycle: {placementTimeout: 4s, schedulerPatience: 6s, backOffFirst: 20s, ";
    let world = World::with_sidecar(&EAGER.replace("cycle: {", shorter)).await?;
    let ns = two_pools(&world, json!({})).await?;
    ns.run_pod(&research("drained", "1"), "n1").await?;
    ns.change_pool("research", json!({ "state": "Drain" })).await?;
    assert_eq!(ns.until_evicted("drained").await?.reason, "Drained");

    // A gang that is admitted and finds no place, while the scheduler shows signs of life.
    let owner = ns.create_owner("owner").await?;
    ns.scheduler_lives(&owner).await?;
    let member = |name: &str| pod(name).pool("production").gang("late", "2").owned_by(&owner);
    ns.create_pod(&member("l1").without_grace()).await?;
    ns.create_pod(&member("l2").without_grace()).await?;
    ns.bind("l1", "n1").await?;
    let Reason { reason, message } = ns.until_evicted("l2").await?;
    assert_eq!(reason, "PlacementTimeout");
    assert!(message.contains("1 of 2 placed"), "{message}");
    let Reason { reason, .. } = ns.until_evicted("l1").await?;
    assert_eq!(reason, "PlacementTimeout", "it never ran whole, so it goes whole");
    ns.until_event("ConfigMap", "owner", "PlacementTimeout", "1 of 2 placed").await?;
    ns.until("the gang is gone", |seen| seen.gang("late").is_none().then_some(())).await?;

    // Its controller makes them again at once; they wait longer than it takes to see why.
    ns.create_pod(&member("l3")).await?;
    ns.create_pod(&member("l4")).await?;
    let backs_off = |pod: &Pod| condition(pod, ADMITTED).is_some_and(|told| told.reason() == "PlacementTimeout");
    let again = ns.until_pod("l3", "its owner backs off", backs_off).await?;
    assert!(is_gated(&again));
    world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enforcement_it_is_said_who_would_have_been_evicted_and_nobody_is() -> Result<()> {
    let world = World::with_sidecar(&format!("{EAGER}\nenforce: false")).await?;
    let ns = two_pools(&world, json!({})).await?;
    ns.run_pod(&research("r1", "4"), "n1").await?;
    ns.run_pod(&research("r2", "4"), "n2").await?;
    ns.create_pod(&production("prod", "4")).await?;
    ns.until_admitted("prod").await?;
    ns.until_one_stays("NotEnforced", "it would have been evicted: pool \"research\" uses 8000 cpu").await?;
    assert_eq!(staying(&ns).await?.len(), 2);
    world.judge().await
}
