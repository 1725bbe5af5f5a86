//! Sidecars that die, that lead two at a time, or that are not there: nobody is admitted half or twice, and
//! nothing is lost.

use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::namespace::{TestNamespace, condition, is_admitted, is_gated, pod};
use crate::world::{SHORT_LEASE, World};

/// One gate at a time, so that there is a middle to be killed in.
const SLOW: &str = "cycle: {writers: 1}\nlease: {duration: 3s, renewBefore: 1s}";

/// A gang of this size in pool `research`, whose last member comes when all others wait for it.
async fn gang(ns: &TestNamespace<'_>, size: usize) {
    ns.pool_of("research", "64").await;
    let member = |at: usize| pod(&format!("m{at}")).pool("research").gang("train", &size.to_string());
    for at in 0..size - 1 {
        ns.create(member(at)).await;
    }
    ns.waits("m0", "WaitingForGang", &format!("of {size} members are there")).await;
    ns.create(member(size - 1)).await;
}

/// Returns when the watch shows that the first gate of a gang has gone, and how many have not.
async fn first_gate_goes(ns: &TestNamespace<'_>) -> usize {
    ns.until("the first gate goes", |record| {
        let members = || record.pods.iter().filter(|((namespace, _), _)| *namespace == ns.namespace);
        members().any(|(_, pod)| is_admitted(pod)).then(|| members().filter(|(_, pod)| is_gated(pod)).count())
    })
    .await
}

async fn until_leads(ns: &TestNamespace<'_>, holder: &str) {
    let leads = |record: &crate::history::Record| (record.round.as_ref()?.spec.holder == holder).then_some(());
    ns.until(&format!("{holder} leads"), leads).await;
}

async fn all_admitted(ns: &TestNamespace<'_>, size: usize) {
    for at in 0..size {
        ns.admitted(&format!("m{at}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_killed_in_the_middle_of_admitting_a_gang_leaves_no_half() {
    let world = World::private(SLOW).await;
    world.node("n1", json!({}), json!({ "cpu": "64" })).await;
    let ns = world.namespace("team").await;
    gang(&ns, 40).await;
    let left = first_gate_goes(&ns).await;
    world.kill_sidecar("a").await;
    assert!(left > 0, "it was killed too late to show anything");
    world.run_sidecar("b", SHORT_LEASE).await.unwrap();
    all_admitted(&ns, 40).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_killed_while_the_leader_changes_leaves_no_half() {
    let world = World::private(SLOW).await;
    world.node("n1", json!({}), json!({ "cpu": "64" })).await;
    world.run_sidecar("b", &format!("webhook: {{install: true}}\n{SLOW}")).await.unwrap();
    let ns = world.namespace("team").await;
    gang(&ns, 40).await;
    first_gate_goes(&ns).await;
    world.kill_sidecar("a").await;
    // The next one is killed as soon as its name stands in the record: it leads, and has finished nothing yet.
    until_leads(&ns, "b").await;
    world.kill_sidecar("b").await;
    world.run_sidecar("c", SHORT_LEASE).await.unwrap();
    until_leads(&ns, "c").await;
    all_admitted(&ns, 40).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_leaders_at_once_admit_no_more_than_there_is() {
    let world = World::private("").await;
    world.node("n1", json!({}), json!({ "cpu": "20" })).await;
    let ns = world.namespace("team").await;
    ns.pool_of("research", "20").await;
    // A second one with a lease elsewhere, so that both believe to lead.
    ns.namespace_with("elsewhere", json!({})).await;
    weir_tests::sidecar::install_in(&ns.client, "elsewhere").await.unwrap();
    world.run_sidecar("b", "namespace: elsewhere\nwebhook: {install: false}").await.unwrap();
    for at in 0..60 {
        ns.create(pod(&format!("p{at}")).pool("research")).await;
    }
    let counted = |record: &crate::history::Record| {
        let pods = || record.pods.iter().filter(|((namespace, _), _)| namespace == "team").map(|(_, pod)| pod);
        let runs = pods().filter(|pod| is_admitted(pod)).count();
        let wait = pods().filter(|pod| is_gated(pod) && condition(pod).is_some_and(|told| told.0 == "False")).count();
        (runs + wait == 60).then_some(runs)
    };
    assert_eq!(ns.until("all sixty are judged", counted).await, 20);
    let holders = world.history.now(|record| record.round.as_ref().map(|round| round.spec.epoch));
    println!("the record was written {holders:?} times");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_webhook_down_a_managed_pod_is_refused_and_its_controller_makes_it_later() {
    let world = World::private(SHORT_LEASE).await;
    world.node("n1", json!({}), json!({ "cpu": "8" })).await;
    let ns = world.namespace("team").await;
    ns.pool_of("research", "8").await;
    ns.create(pod("before").pool("research")).await;
    ns.admitted("before").await;
    world.kill_sidecar("a").await;
    let tenant = ns.owner("tenant").await;
    let sentence = ns.create_as(&tenant, pod("refused").pool("research")).await.unwrap_err();
    assert!(sentence.contains("did not answer: try again"), "{sentence}");
    // Nobody else notices.
    assert!(!is_gated(&ns.create_as(&tenant, pod("unmanaged")).await.unwrap()));
    let sets: Api<ReplicaSet> = Api::namespaced(ns.client.clone(), "team");
    let template = json!({ "metadata": { "labels": { "app": "web" }, "annotations": { "weir.dev/pool": "research" } },
        "spec": { "containers": [{ "name": "c", "image": "i", "resources": { "requests": { "cpu": "1" } } }] } });
    let set = json!({ "metadata": { "name": "web" }, "spec": { "replicas": 3,
        "selector": { "matchLabels": { "app": "web" } }, "template": template } });
    sets.create(&PostParams::default(), &serde_json::from_value(set).unwrap()).await.unwrap();
    ns.event("ReplicaSet", "web", "FailedCreate", "did not answer: try again").await;
    world.run_sidecar("b", SHORT_LEASE).await.unwrap();
    let made = |record: &crate::history::Record| {
        let pods = record.pods.values().filter(|pod| pod.name_any().starts_with("web-"));
        (pods.filter(|pod| is_admitted(pod)).count() == 3).then_some(())
    };
    ns.until("the controller's three pods are admitted", made).await;
    world.end().await;
}
