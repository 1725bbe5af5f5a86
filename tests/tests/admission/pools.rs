//! Mistakes in pools. What hangs on them waits or goes on as it can, and everybody else does not notice.

use serde_json::{Value, json};

use crate::namespace::{condition, is_admitted, pod};
use crate::world::World;

fn cores(parent: Option<&str>, reservation: &str) -> Value {
    json!({ "parent": parent, "resources": [{ "name": "cpu", "reservation": reservation }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn cyclic_parents_are_named_and_their_pods_wait() {
    let ns = World::shared().namespace("cyclic").await;
    // cyclic-a → cyclic-b → cyclic-a
    ns.pool("cyclic-a", cores(Some("cyclic-b"), "1")).await;
    ns.pool("cyclic-b", cores(Some("cyclic-a"), "1")).await;
    for (pool, other) in [("cyclic-a", "cyclic-b"), ("cyclic-b", "cyclic-a")] {
        ns.pool_says(pool, "Ready", "ParentCycle", other).await;
    }
    ns.create(pod("p").pool("cyclic-a")).await;
    ns.waits("p", "PoolNotFound", "pool \"cyclic-a\"").await;
    ns.rest_goes_on().await;
    ns.change_pool("cyclic-b", json!({ "parent": null })).await;
    ns.pool_is_fine("cyclic-a").await;
    ns.pool_is_fine("cyclic-b").await;
    ns.admitted("p").await;
    ns.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_parents_are_named_and_their_pods_wait() {
    let ns = World::shared().namespace("orphan").await;
    ns.pool("orphan", cores(Some("orphan-parent"), "1")).await;
    ns.pool_says("orphan", "Ready", "ParentNotFound", "orphan-parent").await;
    ns.create(pod("p").pool("orphan")).await;
    ns.waits("p", "PoolNotFound", "pool \"orphan\"").await;
    ns.create(pod("inner").pool("orphan-parent")).await;
    ns.waits("inner", "PoolNotFound", "pool \"orphan-parent\"").await;
    ns.rest_goes_on().await;
    ns.pool("orphan-parent", cores(None, "1")).await;
    ns.pool_is_fine("orphan").await;
    ns.admitted("p").await;
    ns.waits("inner", "PoolNotLeaf", "has pools under it; name one of those").await;
    ns.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_deleted_while_in_use_stay_until_the_last_pod_has_gone() {
    let ns = World::shared().namespace("deleted").await;
    ns.pool("deleted", cores(None, "2")).await;
    ns.create(pod("runs").pool("deleted").asks("cpu", "2")).await;
    ns.admitted("runs").await;
    let held = |record: &crate::history::Record| {
        let finalizers = record.pools.get("deleted")?.metadata.finalizers.clone()?;
        finalizers.contains(&"weir.dev/pool-in-use".to_owned()).then_some(())
    };
    ns.until("the pool is held on to", held).await;
    ns.delete_pool("deleted").await;
    ns.pool_says("deleted", "Ready", "Terminating", "deleted as soon as no pod is in it").await;
    ns.create(pod("late").pool("deleted")).await;
    ns.waits("late", "PoolHeld", "takes nothing new").await;
    ns.rest_goes_on().await;
    assert!(ns.world.history.now(|record| { is_admitted(&record.pods[&("deleted".to_owned(), "runs".to_owned())]) }));
    // Who waits may go elsewhere, and when the last one ends the pool is gone.
    ns.pool("deleted-other", cores(None, "1")).await;
    ns.annotate("late", "weir.dev/pool", json!("deleted-other")).await;
    ns.admitted("late").await;
    ns.delete("runs").await;
    ns.until("the pool is gone", |record| (!record.pools.contains_key("deleted")).then_some(())).await;
    ns.create(pod("again").pool("deleted")).await;
    ns.waits("again", "PoolNotFound", "there is no pool \"deleted\" that takes part; create it").await;
    ns.pool("deleted", cores(None, "2")).await;
    ns.admitted("again").await;
    ns.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_above_capacity_are_scaled_and_nothing_stops() {
    let ns = World::shared().namespace("promised").await;
    // promised(8) ── promised-a(6), promised-b(6); of licences the cluster has 4, and promised reserves 8.
    let licence = "example.com/promised";
    let spec = |parent: Option<&str>, reservation: &str| json!({ "parent": parent, "resources": [{ "name": licence, "reservation": reservation }] });
    ns.world.node("promised", json!({}), json!({ "cpu": "1000", licence: "4" })).await;
    ns.pool("promised", spec(None, "8")).await;
    ns.pool("promised-a", spec(Some("promised"), "6")).await;
    ns.pool("promised-b", spec(Some("promised"), "6")).await;
    for (name, pool) in [("a-1", "promised-a"), ("a-2", "promised-a"), ("b-1", "promised-b"), ("b-2", "promised-b")] {
        ns.create(pod(name).pool(pool).preemptible().asks(licence, "1")).await;
    }
    for name in ["a-1", "a-2", "b-1", "b-2"] {
        ns.admitted(name).await;
    }
    ns.pool_says("promised", "OverReserved", "OverReserved", "8 of 4").await;
    ns.pool_condition("promised", "OverReserved", "OverReserved", "reserve 12 of 8").await;
    ns.create(pod("a-3").pool("promised-a").preemptible().asks(licence, "1")).await;
    ns.until_pod("a-3", "it waits for what there is not", |pod| {
        condition(pod).is_some_and(|(no, _, text)| no == "False" && text.contains(licence))
    })
    .await;
    ns.rest_goes_on().await;
    ns.world.node("promised-more", json!({}), json!({ "cpu": "1000", licence: "8" })).await;
    ns.change_pool("promised-b", json!({ "resources": [{ "name": licence, "reservation": "2" }] })).await;
    ns.pool_is_fine("promised").await;
    ns.admitted("a-3").await;
    ns.end().await;
}
