//! Which pods go first: those on loan, and within a pool that says so those of a lower priority.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;
use weir_tests::history::View;
use weir_tests::namespace::reclaim::Reason;
use weir_tests::objects::{ADMITTED, condition, grounds, node, pod};
use weir_tests::world::World;

use super::{EAGER, names, research, staying};

/// ```text
/// cluster      1 host × 4 cores
/// └─ research  lower priorities give way
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn within_a_pool_that_says_so_the_lowest_priority_gives_way_and_an_equal_one_does_not() -> Result<()> {
    let world = World::with_sidecar(EAGER).await?;
    world.add_node(&node("n1").cores(4)).await?;
    let ns = world.namespace("team").await?;
    ns.create_pool("research", json!({ "preemption": { "withinPool": "LowerPriority" } })).await?;
    for (name, value) in [("low", 10), ("middle", 100), ("high", 1000)] {
        ns.apply(&json!({ "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": { "name": name }, "value": value }))
            .await?;
    }
    let of = |name: &str, class: &str| research(name, "2").with("priorityClassName", json!(class));
    for (name, class) in [("r1", "low"), ("r2", "middle")] {
        ns.run_pod(&of(name, class), "n1").await?;
    }
    ns.create_pod(&of("first", "high")).await?;
    ns.until_admitted("first").await?;
    let Reason { reason, message } = ns.until_evicted("r1").await?;
    assert_eq!(reason, "HigherPriority");
    assert_eq!(message, "pod team/first of pool \"research\" has a higher priority and takes the place");
    ns.bind("first", "n1").await?;

    ns.create_pod(&of("equal", "middle")).await?;
    ns.until_pod("equal", "it waits", |pod| condition(pod, ADMITTED).is_some()).await?;
    assert_eq!(staying(&ns).await?, names(["equal", "first", "r2"]), "no pod below it is left");
    ns.create_pod(&of("second", "high")).await?;
    ns.until_admitted("second").await?;
    assert_eq!(ns.until_evicted("r2").await?.reason, "HigherPriority");
    assert_eq!(staying(&ns).await?, names(["equal", "first", "second"]));
    world.judge().await
}

/// ```text
/// cluster   1 host × 4 cores
/// ├─ left
/// └─ right
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn a_loan_is_recalled_as_soon_as_somebody_entitled_asks_for_the_room() -> Result<()> {
    let world = World::with_sidecar(EAGER).await?;
    let ns = world.namespace("team").await?;
    ns.create_pool("left", json!({})).await?;
    ns.create_pool("right", json!({})).await?;
    let of = |name: &str, pool: &str| pod(name).pool(pool).preemptible().without_grace();
    // Both want three of four cores in one piece, and each is entitled to two: one of them runs on loan. The cores
    // come once both are known to ask for them; one that asked alone would be entitled to three.
    let members = || ["left", "right"].into_iter().flat_map(|pool| (1..=3).map(move |at| (pool, at)));
    for (pool, at) in members() {
        ns.create_pod(&of(&format!("{pool}-{at}"), pool).gang(pool, "3")).await?;
    }
    for (pool, at) in members() {
        ns.until_pod(&format!("{pool}-{at}"), "it waits", |pod| condition(pod, ADMITTED).is_some()).await?;
    }
    world.add_node(&node("n1").cores(4)).await?;
    let on_loan = |seen: View<'_>| {
        let lent: Vec<&Pod> = seen.pods().filter(|pod| grounds(pod) == Some("OnLoan")).collect();
        (lent.len() == 3).then(|| lent[0].labels()["weir.dev/pool"].clone())
    };
    let lent = ns.until("one gang runs on loan", on_loan).await?;
    for at in 1..=3 {
        ns.bind(&format!("{lent}-{at}"), "n1").await?;
    }
    let other = if lent == "left" { "right" } else { "left" };
    ns.create_pod(&of("small", other).cpu("2")).await?;
    ns.until_admitted("small").await?;
    for at in 1..=3 {
        assert_eq!(ns.until_evicted(&format!("{lent}-{at}")).await?.reason, "LoanRecalled", "a gang goes whole");
    }
    world.judge().await
}
