//! Who goes first: what is on loan, and within a pool that says so whoever has a lower priority.

use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::{EAGER, names, research};
use crate::namespace::{TestNamespace, condition, grounds, pod};
use crate::world::World;

impl TestNamespace<'_> {
    async fn priority(&self, name: &str, value: i32) {
        let classes: Api<PriorityClass> = Api::all(self.client.clone());
        let class = json!({ "metadata": { "name": name }, "value": value });
        classes.create(&PostParams::default(), &serde_json::from_value(class).unwrap()).await.unwrap();
    }
}

/// ```text
/// cluster      1 host × 4 cores
/// └─ research  lower priorities give way
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn within_a_pool_that_says_so_the_lowest_priority_gives_way_and_an_equal_one_does_not() {
    let world = World::private(EAGER).await;
    world.node("n1", json!({}), json!({ "cpu": "4" })).await;
    let ns = world.namespace("team").await;
    ns.pool("research", json!({ "preemption": { "withinPool": "LowerPriority" } })).await;
    for (name, value) in [("low", 10), ("middle", 100), ("high", 1000)] {
        ns.priority(name, value).await;
    }
    let of = |name: &str, class: &str| research(name, "2").with("priorityClassName", json!(class));
    for (name, class) in [("r1", "low"), ("r2", "middle")] {
        ns.create(of(name, class)).await;
        ns.bind(name, "n1").await;
    }
    ns.create(of("first", "high")).await;
    ns.admitted("first").await;
    let (word, sentence) = ns.goes("r1").await;
    assert_eq!(word, "HigherPriority");
    assert_eq!(sentence, "pod team/first of pool \"research\" has a higher priority and takes the place");
    ns.bind("first", "n1").await;

    ns.create(of("equal", "middle")).await;
    ns.until_pod("equal", "it waits", |pod| condition(pod).is_some()).await;
    assert_eq!(ns.staying().await, names(["equal", "first", "r2"]), "nobody below it is left");
    ns.create(of("second", "high")).await;
    ns.admitted("second").await;
    assert_eq!(ns.goes("r2").await.0, "HigherPriority");
    assert_eq!(ns.staying().await, names(["equal", "first", "second"]));
    world.end().await;
}

/// ```text
/// cluster   1 host × 4 cores
/// ├─ left
/// └─ right
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn a_loan_is_recalled_as_soon_as_somebody_entitled_asks_for_the_room() {
    let world = World::private(EAGER).await;
    let ns = world.namespace("team").await;
    ns.pool("left", json!({})).await;
    ns.pool("right", json!({})).await;
    let of =
        |name: &str, pool: &str| pod(name).pool(pool).preemptible().with("terminationGracePeriodSeconds", json!(0));
    // Both want three of four cores in one piece, and each is entitled to two: one of them runs on loan. The cores
    // come once both are known to ask for them; whoever asked alone would be entitled to three.
    let members = || ["left", "right"].into_iter().flat_map(|pool| (1..=3).map(move |at| (pool, at)));
    for (pool, at) in members() {
        ns.create(of(&format!("{pool}-{at}"), pool).gang(pool, "3")).await;
    }
    for (pool, at) in members() {
        ns.until_pod(&format!("{pool}-{at}"), "it waits", |pod| condition(pod).is_some()).await;
    }
    world.node("n1", json!({}), json!({ "cpu": "4" })).await;
    let lent = ns.until("one gang runs on loan", |record| {
        let lends = |pod: &&k8s_openapi::api::core::v1::Pod| grounds(pod) == Some("OnLoan");
        let lent: Vec<_> = record.pods.values().filter(lends).collect();
        (lent.len() == 3).then(|| lent[0].metadata.labels.as_ref().unwrap()["weir.dev/pool"].clone())
    });
    let lent = lent.await;
    for at in 1..=3 {
        ns.bind(&format!("{lent}-{at}"), "n1").await;
    }
    let other = if lent == "left" { "right" } else { "left" };
    ns.create(of("small", other).asks("cpu", "2")).await;
    ns.admitted("small").await;
    for at in 1..=3 {
        assert_eq!(ns.goes(&format!("{lent}-{at}")).await.0, "LoanRecalled", "a gang goes whole");
    }
    world.end().await;
}
