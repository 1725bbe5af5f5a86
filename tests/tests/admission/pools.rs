//! Mistakes in pools. What hangs on them waits or goes on as it can, and all else does not notice.

use anyhow::Result;
use serde_json::{Value, json};
use weir_tests::history::View;
use weir_tests::objects::{ADMITTED, condition, is_admitted, node, pod};
use weir_tests::world::shared;

fn cores(parent: Option<&str>, reservation: &str) -> Value {
    json!({ "parent": parent, "resources": [{ "name": "cpu", "reservation": reservation }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn cyclic_parents_are_named_and_their_pods_wait() -> Result<()> {
    let ns = shared::admitting()?.namespace("cyclic").await?;
    // cyclic-a → cyclic-b → cyclic-a
    ns.create_pool("cyclic-a", cores(Some("cyclic-b"), "1")).await?;
    ns.create_pool("cyclic-b", cores(Some("cyclic-a"), "1")).await?;
    for (pool, other) in [("cyclic-a", "cyclic-b"), ("cyclic-b", "cyclic-a")] {
        ns.until_pool_says(pool, "Ready", "ParentCycle", other).await?;
    }
    ns.create_pod(&pod("p").pool("cyclic-a")).await?;
    ns.until_waiting("p", "PoolNotFound", "pool \"cyclic-a\"").await?;
    ns.rest_goes_on().await?;
    ns.change_pool("cyclic-b", json!({ "parent": null })).await?;
    ns.until_pool_is_fine("cyclic-a").await?;
    ns.until_pool_is_fine("cyclic-b").await?;
    ns.until_admitted("p").await?;
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_parents_are_named_and_their_pods_wait() -> Result<()> {
    let ns = shared::admitting()?.namespace("orphan").await?;
    ns.create_pool("orphan", cores(Some("orphan-parent"), "1")).await?;
    ns.until_pool_says("orphan", "Ready", "ParentNotFound", "orphan-parent").await?;
    ns.create_pod(&pod("p").pool("orphan")).await?;
    ns.until_waiting("p", "PoolNotFound", "pool \"orphan\"").await?;
    ns.create_pod(&pod("inner").pool("orphan-parent")).await?;
    ns.until_waiting("inner", "PoolNotFound", "pool \"orphan-parent\"").await?;
    ns.rest_goes_on().await?;
    ns.create_pool("orphan-parent", cores(None, "1")).await?;
    ns.until_pool_is_fine("orphan").await?;
    ns.until_admitted("p").await?;
    ns.until_waiting("inner", "PoolNotLeaf", "has pools under it; name one of those").await?;
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_deleted_while_in_use_stay_until_the_last_pod_has_gone() -> Result<()> {
    let ns = shared::admitting()?.namespace("deleted").await?;
    ns.create_pool("deleted", cores(None, "2")).await?;
    ns.create_pod(&pod("runs").pool("deleted").asks("cpu", "2")).await?;
    ns.until_admitted("runs").await?;
    let held = |seen: View<'_>| {
        let finalizers = seen.cluster.pools.get("deleted")?.metadata.finalizers.clone()?;
        finalizers.contains(&"weir.dev/pool-in-use".to_owned()).then_some(())
    };
    ns.until("the pool is held on to", held).await?;
    ns.delete_pool("deleted").await?;
    ns.until_pool_says("deleted", "Ready", "Terminating", "deleted as soon as no pod is in it").await?;
    ns.create_pod(&pod("late").pool("deleted")).await?;
    ns.until_waiting("late", "PoolHeld", "takes nothing new").await?;
    ns.rest_goes_on().await?;
    assert!(ns.now(|seen| seen.pod("runs").is_some_and(is_admitted)));
    // A pod that waits may go elsewhere, and when the last one ends the pool is gone.
    ns.create_pool("deleted-other", cores(None, "1")).await?;
    ns.annotate_pod("late", "weir.dev/pool", json!("deleted-other")).await?;
    ns.until_admitted("late").await?;
    ns.delete_pod("runs").await?;
    ns.until("the pool is gone", |seen| (!seen.cluster.pools.contains_key("deleted")).then_some(())).await?;
    ns.create_pod(&pod("again").pool("deleted")).await?;
    ns.until_waiting("again", "PoolNotFound", "there is no pool \"deleted\" that takes part; create it").await?;
    ns.create_pool("deleted", cores(None, "2")).await?;
    ns.until_admitted("again").await?;
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_above_capacity_are_scaled_and_nothing_stops() -> Result<()> {
    let ns = shared::admitting()?.namespace("promised").await?;
    // promised(8) ── promised-a(6), promised-b(6); of licences the cluster has 4, and promised reserves 8.
    let licence = "example.com/promised";
    let spec = |parent: Option<&str>, reservation: &str| json!({ "parent": parent, "resources": [{ "name": licence, "reservation": reservation }] });
    ns.world.add_node(&node("promised").cores(1000).has(licence, "4")).await?;
    ns.create_pool("promised", spec(None, "8")).await?;
    ns.create_pool("promised-a", spec(Some("promised"), "6")).await?;
    ns.create_pool("promised-b", spec(Some("promised"), "6")).await?;
    for (name, pool) in [("a-1", "promised-a"), ("a-2", "promised-a"), ("b-1", "promised-b"), ("b-2", "promised-b")] {
        ns.create_pod(&pod(name).pool(pool).preemptible().asks(licence, "1")).await?;
    }
    for name in ["a-1", "a-2", "b-1", "b-2"] {
        ns.until_admitted(name).await?;
    }
    ns.until_pool_says("promised", "OverReserved", "OverReserved", "8 of 4").await?;
    ns.until_pool_condition("promised", "OverReserved", "OverReserved", "reserve 12 of 8").await?;
    ns.create_pod(&pod("a-3").pool("promised-a").preemptible().asks(licence, "1")).await?;
    ns.until_pod("a-3", "it waits for what there is not", |pod| {
        condition(pod, ADMITTED).is_some_and(|told| told.is_false() && told.message().contains(licence))
    })
    .await?;
    ns.rest_goes_on().await?;
    ns.world.add_node(&node("promised-more").cores(1000).has(licence, "8")).await?;
    ns.change_pool("promised-b", json!({ "resources": [{ "name": licence, "reservation": "2" }] })).await?;
    ns.until_pool_is_fine("promised").await?;
    ns.until_admitted("a-3").await?;
    ns.judge().await
}
