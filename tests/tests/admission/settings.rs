//! What pods are read by changes while they wait: each pod concerned hears of it, and the leader lists nothing (G2).

use anyhow::{Result, ensure};
use serde_json::json;
use weir_tests::namespace::TestNamespace;
use weir_tests::objects::{node, pod};
use weir_tests::world::World;

/// No term has ended and nothing was listed a second time.
async fn nothing_was_listed(ns: &TestNamespace) -> Result<()> {
    let metrics = ns.world.sidecar("a")?.metrics().await?;
    let listed: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("weir_resyncs_total") || line.starts_with("weir_terms_total"))
        .collect();
    ensure!(listed.is_empty(), "{listed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_namespaces_and_nodes_that_change_are_heard_by_the_pods_concerned_and_nothing_is_listed() -> Result<()> {
    let world = World::with_sidecar("").await?;
    world.add_node(&node("n0").cores(8)).await?;
    world.add_node(&node("n1").cores(8).gpus(1).model("T4")).await?;
    let ns = world.namespace("team").await?;
    ns.create_pool_of("research", "8").await?;

    // A pool that does not take the namespace, until the namespace has the label, and again when it has not.
    let selector = json!({ "matchLabels": { "may": "yes" } });
    ns.create_pool("closed", json!({ "namespaceSelector": selector })).await?;
    ns.create_pod(&pod("closed").pool("closed").cpu("20")).await?;
    ns.until_waiting("closed", "PoolNotAllowed", "spec.namespaceSelector").await?;
    ns.label("may", "yes").await?;
    ns.until_waiting("closed", "WaitingForPlacement", "").await?;
    ns.label("may", "no").await?;
    ns.until_waiting("closed", "PoolNotAllowed", "spec.namespaceSelector").await?;
    ns.change_pool("closed", json!({ "namespaceSelector": { "matchLabels": null } })).await?;
    ns.until_waiting("closed", "WaitingForPlacement", "").await?;

    // A GPU model that no node has, until one has, and again when that node is gone.
    let wants = pod("b200").pool("research").gpus(9).selecting_model("B200");
    ns.create_pod(&wants).await?;
    ns.until_waiting("b200", "UnknownModel", "B200").await?;
    world.add_node(&node("n2").cores(8).gpus(8).model("B200")).await?;
    ns.until_waiting("b200", "WaitingForPlacement", "").await?;

    // Other namespaces and pools come while a pool selects namespaces.
    for at in 0..5 {
        ns.another(&format!("other-{at}"), json!({})).await?;
        ns.create_pool_of(&format!("other-{at}"), "1").await?;
    }
    ns.create_pod(&pod("last").pool("research")).await?;
    ns.until_admitted("last").await?;
    nothing_was_listed(&ns).await?;
    world.judge().await
}
