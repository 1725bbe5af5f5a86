//! Mistakes in pools. What hangs on them waits or goes on as it can, and everybody else does not notice.

use serde_json::{Value, json};

use crate::row::{condition, is_admitted, pod};
use crate::world::World;

fn cores(parent: Option<&str>, reservation: &str) -> Value {
    json!({ "parent": parent, "resources": [{ "name": "cpu", "reservation": reservation }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn cyclic_parents_are_named_and_their_pods_wait() {
    let row = World::shared().row("cyclic").await;
    // cyclic-a → cyclic-b → cyclic-a
    row.pool("cyclic-a", cores(Some("cyclic-b"), "1")).await;
    row.pool("cyclic-b", cores(Some("cyclic-a"), "1")).await;
    for (pool, other) in [("cyclic-a", "cyclic-b"), ("cyclic-b", "cyclic-a")] {
        row.pool_says(pool, "Ready", "ParentCycle", other).await;
    }
    row.create(pod("p").pool("cyclic-a")).await;
    row.waits("p", "PoolNotFound", "pool \"cyclic-a\"").await;
    row.rest_goes_on().await;
    row.change_pool("cyclic-b", json!({ "parent": null })).await;
    row.pool_is_fine("cyclic-a").await;
    row.pool_is_fine("cyclic-b").await;
    row.admitted("p").await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_parents_are_named_and_their_pods_wait() {
    let row = World::shared().row("orphan").await;
    row.pool("orphan", cores(Some("orphan-parent"), "1")).await;
    row.pool_says("orphan", "Ready", "ParentNotFound", "orphan-parent").await;
    row.create(pod("p").pool("orphan")).await;
    row.waits("p", "PoolNotFound", "pool \"orphan\"").await;
    row.create(pod("inner").pool("orphan-parent")).await;
    row.waits("inner", "PoolNotFound", "pool \"orphan-parent\"").await;
    row.rest_goes_on().await;
    row.pool("orphan-parent", cores(None, "1")).await;
    row.pool_is_fine("orphan").await;
    row.admitted("p").await;
    row.waits("inner", "PoolNotLeaf", "has pools under it; name one of those").await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_deleted_while_in_use_stay_until_the_last_pod_has_gone() {
    let row = World::shared().row("deleted").await;
    row.pool("deleted", cores(None, "2")).await;
    row.create(pod("runs").pool("deleted").asks("cpu", "2")).await;
    row.admitted("runs").await;
    let held = |record: &crate::chronicle::Record| {
        let finalizers = record.pools.get("deleted")?.metadata.finalizers.clone()?;
        finalizers.contains(&"weir.dev/pool-in-use".to_owned()).then_some(())
    };
    row.until("the pool is held on to", held).await;
    row.delete_pool("deleted").await;
    row.pool_says("deleted", "Ready", "Terminating", "deleted as soon as no pod is in it").await;
    row.create(pod("late").pool("deleted")).await;
    row.waits("late", "PoolHeld", "takes nothing new").await;
    row.rest_goes_on().await;
    assert!(
        row.world.chronicle.now(|record| { is_admitted(&record.pods[&("deleted".to_owned(), "runs".to_owned())]) })
    );
    // Who waits may go elsewhere, and when the last one ends the pool is gone.
    row.pool("deleted-other", cores(None, "1")).await;
    row.annotate("late", "weir.dev/pool", json!("deleted-other")).await;
    row.admitted("late").await;
    row.delete("runs").await;
    row.until("the pool is gone", |record| (!record.pools.contains_key("deleted")).then_some(())).await;
    row.create(pod("again").pool("deleted")).await;
    row.waits("again", "PoolNotFound", "there is no pool \"deleted\" that takes part; create it").await;
    row.pool("deleted", cores(None, "2")).await;
    row.admitted("again").await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reservations_above_capacity_are_scaled_and_nothing_stops() {
    let row = World::shared().row("promised").await;
    // promised(8) ── promised-a(6), promised-b(6); of licences the cluster has 4, and promised reserves 8.
    let licence = "example.com/promised";
    let spec = |parent: Option<&str>, reservation: &str| json!({ "parent": parent, "resources": [{ "name": licence, "reservation": reservation }] });
    row.world.node("promised", json!({}), json!({ "cpu": "1000", licence: "4" })).await;
    row.pool("promised", spec(None, "8")).await;
    row.pool("promised-a", spec(Some("promised"), "6")).await;
    row.pool("promised-b", spec(Some("promised"), "6")).await;
    for (name, pool) in [("a-1", "promised-a"), ("a-2", "promised-a"), ("b-1", "promised-b"), ("b-2", "promised-b")] {
        row.create(pod(name).pool(pool).preemptible().asks(licence, "1")).await;
    }
    for name in ["a-1", "a-2", "b-1", "b-2"] {
        row.admitted(name).await;
    }
    row.pool_says("promised", "OverReserved", "OverReserved", "8 of 4").await;
    row.pool_condition("promised", "OverReserved", "OverReserved", "reserve 12 of 8").await;
    row.create(pod("a-3").pool("promised-a").preemptible().asks(licence, "1")).await;
    row.until_pod("a-3", "it waits for what there is not", |pod| {
        condition(pod).is_some_and(|(no, _, text)| no == "False" && text.contains(licence))
    })
    .await;
    row.rest_goes_on().await;
    row.world.node("promised-more", json!({}), json!({ "cpu": "1000", licence: "8" })).await;
    row.change_pool("promised-b", json!({ "resources": [{ "name": licence, "reservation": "2" }] })).await;
    row.pool_is_fine("promised").await;
    row.admitted("a-3").await;
    row.end().await;
}
