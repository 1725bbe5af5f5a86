//! A gang of which some are gone and others are not: the leader is killed, or a budget turns tight, between the
//! evictions of two members.

use std::collections::BTreeSet;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;
use weir_checker::is_evicted;
use weir_tests::history::View;
use weir_tests::namespace::TestNamespace;
use weir_tests::objects::{PREEMPTED, PodBuilder, condition, grounds};
use weir_tests::program::Stopped;
use weir_tests::world::World;

use super::{EAGER, names, production, research, staying, two_pools};

/// So many that there is a middle to act in.
const MEMBERS: usize = 40;

fn members() -> impl Iterator<Item = String> {
    (0..MEMBERS).map(|at| format!("m{at:02}"))
}

fn member(name: &str) -> PodBuilder {
    research(name, "100m").gang("train", &MEMBERS.to_string()).labelled("app", "train")
}

/// A gang that fills one host, each member as `shaped`; what runs on the other host may not go, so that a claimant
/// of a whole host is a claimant of this one.
async fn gang_fills_a_host(ns: &TestNamespace, shaped: fn(PodBuilder) -> PodBuilder) -> Result<()> {
    ns.run_pod(&research("other", "4").labelled("app", "other"), "n2").await?;
    ns.create_budget("other", "other", 1, 0).await?;
    for name in members() {
        ns.create_pod(&shaped(member(&name))).await?;
    }
    for name in members() {
        ns.bind(&name, "n1").await?;
    }
    Ok(())
}

/// Returns as soon as the eviction of a first member is told.
async fn first_is_evicted(ns: &TestNamespace) -> Result<()> {
    ns.until("the first member is evicted", |seen| seen.past().any(is_evicted).then_some(())).await
}

/// The members that are there, and whether the eviction of each was taken, as the API server has it.
async fn there(ns: &TestNamespace) -> Result<Vec<(String, bool)>> {
    let all = ns.pods().list(&ListParams::default().labels("app=train")).await?;
    Ok(all.iter().map(|pod| (pod.name_any(), is_evicted(pod))).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_between_the_evictions_of_two_members_evicts_nobody_twice_and_the_rest_follows() -> Result<()> {
    let world = World::with_sidecar(EAGER).await?;
    let ns = two_pools(&world, json!({})).await?;
    // An evicted member stays to be seen, so that a second eviction would be one more that is taken.
    gang_fills_a_host(&ns, PodBuilder::held).await?;
    ns.create_pod(&production("prod", "4")).await?;
    first_is_evicted(&ns).await?;
    world.kill_sidecar("a").await?;
    let stay = there(&ns).await?.iter().filter(|(_, evicted)| !evicted).count();
    assert!(stay > 0, "it was killed too late to show anything");
    println!("killed when {stay} of {MEMBERS} members had still to go");

    world.run_sidecar("b", EAGER).await?;
    let all = |seen: View<'_>| {
        let evicted: BTreeSet<Option<String>> = seen.past().filter(|pod| is_evicted(pod)).map(Pod::uid).collect();
        (evicted.len() == MEMBERS).then_some(())
    };
    ns.until("all members are evicted", all).await?;
    ns.until_gang_says("train", "weir.dev/Preempted", "Reclaimed").await?;
    for name in members() {
        ns.change_pod(&name, json!({ "metadata": { "finalizers": null } })).await?;
    }
    ns.until_admitted("prod").await?;
    let taken = ["apiserver_request_total{", "subresource=\"eviction\"", "code=\"201\""];
    // What was under way when its leader was killed may be carried out and count as a request that was given up.
    let counted = world.api_server_counts(&taken).await?;
    assert!(counted <= 40.0, "{counted} evictions of 40 members");
    assert_eq!(staying(&ns).await?, names(["other"]));
    world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_turns_tight_between_two_members_ends_the_plan_and_those_who_are_gone_rejoin_singly() -> Result<()>
{
    // The lease outlives the time for which the sidecar stands still here.
    let world = World::with_sidecar("cycle: {adoptionGrace: 0s, reclaimAfter: 2s, evictionRetry: 4s}").await?;
    let ns = two_pools(&world, json!({})).await?;
    gang_fills_a_host(&ns, |member| member).await?;
    ns.create_budget("train", "train", 0, 40).await?;
    ns.create_pod(&production("prod", "4")).await?;
    first_is_evicted(&ns).await?;
    let stopped = Stopped::process(world.sidecar("a")?.process().id())?;
    ns.change_budget("train", MEMBERS).await?;
    ns.until_budget_allows("train", 0).await?;
    let left: BTreeSet<String> = there(&ns).await?.into_iter().map(|(name, _)| name).collect();
    let gone: Vec<String> = members().filter(|name| !left.contains(name)).collect();
    assert!(!gone.is_empty() && !left.is_empty(), "it stood still too late to show anything");
    println!("the budget turned tight when {} of {MEMBERS} members were gone", gone.len());
    drop(stopped);

    // Tried again for a while, one member is refused for good, and all the others need not go either.
    ns.until_one_stays("Refused", "it stays: Cannot evict pod as it would violate the pod's disruption budget").await?;
    let set_back = |seen: View<'_>| {
        let stays = |name: &String| {
            let told = seen.pod(name).and_then(|pod| condition(pod, PREEMPTED));
            told.is_some_and(|told| !told.is_true())
        };
        left.iter().all(stays).then_some(())
    };
    ns.until("the condition is set back on all that are left", set_back).await?;
    // What made the members makes those again that are gone.
    for name in &gone {
        ns.create_pod(&member(name)).await?;
        let back = ns.until_admitted(name).await?;
        let record = back.annotations().get("weir.dev/decided-on").unwrap();
        assert!(record.contains("\"pods\":1,"), "{name} was admitted singly: {:?} {record}", grounds(&back));
        ns.bind(name, "n1").await?;
    }
    // The claimant has not lost its claim to the room for good.
    ns.change_budget("train", 0).await?;
    ns.until_budget_allows("train", 40).await?;
    ns.until_admitted("prod").await?;
    assert_eq!(staying(&ns).await?, names(["other"]));
    world.judge().await
}
