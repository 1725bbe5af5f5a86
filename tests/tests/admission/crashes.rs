//! Sidecars that die, that lead two at a time, or that are not there: no gang is admitted half and no pod twice, and
//! nothing is lost.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;
use weir_tests::history::View;
use weir_tests::namespace::TestNamespace;
use weir_tests::objects::{ADMITTED, condition, is_admitted, is_gated, node, pod};
use weir_tests::sidecar;
use weir_tests::world::{SHORT_LEASE, World};

/// One gate at a time, so that there is a middle to be killed in.
const SLOW: &str = "cycle: {writers: 1}\nlease: {duration: 3s, renewBefore: 1s}";

/// A gang of this size in pool `research`, whose last member comes when all others wait for it.
async fn gang(ns: &TestNamespace, size: usize) -> Result<()> {
    ns.create_pool_of("research", "64").await?;
    let member = |at: usize| pod(&format!("m{at}")).pool("research").gang("train", &size.to_string());
    for at in 0..size - 1 {
        ns.create_pod(&member(at)).await?;
    }
    ns.until_waiting("m0", "WaitingForGang", &format!("of {size} members are there")).await?;
    ns.create_pod(&member(size - 1)).await.map(drop)
}

/// Returns when the watch shows that the first gate of a gang has gone, and how many have not.
async fn first_gate_goes(ns: &TestNamespace) -> Result<usize> {
    ns.until("the first gate goes", |seen| {
        seen.pods().any(is_admitted).then(|| seen.pods().filter(|pod| is_gated(pod)).count())
    })
    .await
}

async fn all_admitted(ns: &TestNamespace, size: usize) -> Result<()> {
    for at in 0..size {
        ns.until_admitted(&format!("m{at}")).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_killed_in_the_middle_of_admitting_a_gang_leaves_no_half() -> Result<()> {
    let world = World::with_sidecar(SLOW).await?;
    world.add_node(&node("n1").cores(64)).await?;
    let ns = world.namespace("team").await?;
    gang(&ns, 40).await?;
    let left = first_gate_goes(&ns).await?;
    world.kill_sidecar("a").await?;
    assert!(left > 0, "it was killed too late to show anything");
    world.run_sidecar("b", SHORT_LEASE).await?;
    all_admitted(&ns, 40).await?;
    world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_killed_while_the_leader_changes_leaves_no_half() -> Result<()> {
    let world = World::with_sidecar(SLOW).await?;
    world.add_node(&node("n1").cores(64)).await?;
    world.run_sidecar("b", &format!("webhook: {{install: true}}\n{SLOW}")).await?;
    let ns = world.namespace("team").await?;
    gang(&ns, 40).await?;
    first_gate_goes(&ns).await?;
    world.kill_sidecar("a").await?;
    // The next one is killed as soon as its name stands in the record: it leads, and has finished nothing yet.
    ns.until_leads("b").await?;
    world.kill_sidecar("b").await?;
    world.run_sidecar("c", SHORT_LEASE).await?;
    ns.until_leads("c").await?;
    all_admitted(&ns, 40).await?;
    world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_leaders_at_once_admit_no_more_than_there_is() -> Result<()> {
    let world = World::with_sidecar("").await?;
    world.add_node(&node("n1").cores(20)).await?;
    let ns = world.namespace("team").await?;
    ns.create_pool_of("research", "20").await?;
    // A second one with a lease elsewhere, so that both believe to lead.
    ns.another("elsewhere", json!({})).await?;
    sidecar::install_in(&ns.client, "elsewhere").await?;
    world.run_sidecar("b", "namespace: elsewhere\nwebhook: {install: false}").await?;
    for at in 0..60 {
        ns.create_pod(&pod(&format!("p{at}")).pool("research")).await?;
    }
    let counted = |seen: View<'_>| {
        let waits = |pod: &&Pod| is_gated(pod) && condition(pod, ADMITTED).is_some_and(|admitted| admitted.is_false());
        let (run, wait) = (seen.pods().filter(|pod| is_admitted(pod)).count(), seen.pods().filter(waits).count());
        (run + wait == 60).then_some(run)
    };
    assert_eq!(ns.until("all sixty are judged", counted).await?, 20);
    let holders = ns.now(|seen| seen.cluster.round.as_ref().map(|round| round.spec.epoch));
    println!("the record was written {holders:?} times");
    world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_webhook_down_a_managed_pod_is_refused_and_its_controller_makes_it_later() -> Result<()> {
    let world = World::with_sidecar(SHORT_LEASE).await?;
    world.add_node(&node("n1").cores(8)).await?;
    let ns = world.namespace("team").await?;
    ns.create_pool_of("research", "8").await?;
    ns.create_pod(&pod("before").pool("research")).await?;
    ns.until_admitted("before").await?;
    world.kill_sidecar("a").await?;
    let tenant = ns.owner("tenant").await?;
    let sentence = ns.creation_refused(&tenant, &pod("refused").pool("research")).await?;
    assert!(sentence.contains("did not answer: try again"), "{sentence}");
    // An unmanaged pod does not notice.
    assert!(!is_gated(&ns.create_pod_by(&tenant, &pod("unmanaged")).await?));
    let template = json!({ "metadata": { "labels": { "app": "web" }, "annotations": { "weir.dev/pool": "research" } },
        "spec": { "containers": [{ "name": "c", "image": "i", "resources": { "requests": { "cpu": "1" } } }] } });
    ns.apply(&json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": { "name": "web", "namespace": ns.name },
        "spec": { "replicas": 3, "selector": { "matchLabels": { "app": "web" } }, "template": template } }))
        .await?;
    ns.until_event("ReplicaSet", "web", "FailedCreate", "did not answer: try again").await?;
    world.run_sidecar("b", SHORT_LEASE).await?;
    let made = |seen: View<'_>| {
        let pods = seen.pods().filter(|pod| pod.name_any().starts_with("web-"));
        (pods.filter(|pod| is_admitted(pod)).count() == 3).then_some(())
    };
    ns.until("the controller's three pods are admitted", made).await?;
    world.judge().await
}
