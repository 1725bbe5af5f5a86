//! The admission sidecar on a real API server: who is gated, who may not admit himself, what a mistake says,
//! and that no crash and no second leader ever admits half a gang or more than there is.
//!
//! Each test owns a control plane and at least one sidecar in a process of its own, and every one ends with
//! the history checker over what the API server's watch showed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod giving_back;
mod history;
mod world;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};
use weir_local::Identity;

use crate::world::{World, admitted, gated, pod, reason};

#[tokio::test(flavor = "multi_thread")]
async fn only_who_asks_is_gated_and_nobody_admits_himself() {
    let world = World::start("").await;
    world.node("n1", json!({ "cpu": "8" })).await;
    world.pool("research", json!({ "resources": [{ "name": "cpu", "reservation": "1" }] })).await;
    world.namespace("asks", json!({ "weir.dev/managed": "true" })).await;
    let tenant = world.cluster.client_of(&Identity::user("tenant")).await.unwrap();
    world.may_edit_pods("tenant").await;

    // Whoever asks, however, and nobody else.
    let rows = [
        ("team", json!({}), json!({}), false),
        ("team", json!({ "resource-pool": "none" }), json!({}), true),
        ("team", json!({ "weir.dev/pool": "none" }), json!({}), true),
        ("team", json!({}), json!({ "schedulerName": "weir-scheduler" }), true),
        ("team", json!({}), json!({ "schedulerName": "kube-resource-manager-scheduler" }), true),
        ("asks", json!({}), json!({}), true),
        ("kube-system", json!({ "weir.dev/pool": "none" }), json!({}), false),
        ("team", json!({ "weir.dev/pool": "none" }), json!({ "priorityClassName": "system-node-critical" }), false),
    ];
    for (at, (namespace, annotations, spec, managed)) in rows.into_iter().enumerate() {
        let created = world.create_as(&tenant, pod(namespace, &format!("row-{at}"), annotations, spec)).await.unwrap();
        let gate = gated(&created) || world.was_gated(&created).await;
        assert_eq!(gate, managed, "row {at}: {created:?}");
    }

    // One who waits for a pool that does not exist stays as he is, so that his attempts can be told apart.
    let waits = pod("team", "waits", json!({ "weir.dev/pool": "none" }), json!({}));
    world.create_as(&tenant, waits).await.unwrap();
    let denied = |patch: Value| world.patch_as(&tenant, "waits", patch);
    let sentence = denied(json!({ "spec": { "schedulingGates": null } })).await.unwrap_err();
    assert!(sentence.contains("removing weir.dev/admission is the admission"), "{sentence}");
    let sentence =
        denied(json!({ "metadata": { "annotations": { "weir.dev/admitted-as": "OnLoan" } } })).await.unwrap_err();
    assert!(sentence.contains("written by Weir alone"), "{sentence}");
    denied(json!({ "metadata": { "annotations": { "weir.dev/pool": "research" } } })).await.unwrap();
    world.until("waits", "the corrected pod is admitted", admitted).await;
    let follows = |pod: &Pod| pod.labels().get("weir.dev/pool").is_some_and(|pool| pool == "research");
    world.until("waits", "the label follows the annotation", follows).await;
    let sentence = denied(json!({ "metadata": { "annotations": { "weir.dev/pool": "none" } } })).await.unwrap_err();
    assert!(sentence.contains("of an admitted pod cannot be changed"), "{sentence}");
    let sentence = denied(json!({ "metadata": { "labels": { "weir.dev/pool": null } } })).await.unwrap_err();
    assert!(sentence.contains("of an admitted pod cannot be changed"), "{sentence}");

    let bound = pod("team", "bound", json!({ "weir.dev/pool": "research" }), json!({ "nodeName": "n1" }));
    let sentence = world.create_as(&tenant, bound).await.unwrap_err();
    assert!(sentence.contains("spec.nodeName"), "{sentence}");

    // With the webhook down a managed pod is refused, and nobody else notices.
    world.sidecar("a").kill().await.unwrap();
    let managed = pod("team", "later", json!({ "weir.dev/pool": "research" }), json!({}));
    let sentence = world.create_as(&tenant, managed).await.unwrap_err();
    assert!(sentence.contains("did not answer: try again"), "{sentence}");
    world.create_as(&tenant, pod("team", "unnoticed", json!({}), json!({}))).await.unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_is_a_reason_on_the_pod_and_the_rest_goes_on() {
    let world = World::start("").await;
    world.node("n1", json!({ "cpu": "8" })).await;
    // org(8) ── research(4), held(4, Hold), closed(nobody), lost → nowhere
    let four = json!([{ "name": "cpu", "reservation": "4", "limit": "6" }]);
    world.pool("org", json!({ "resources": [{ "name": "cpu", "reservation": "8" }] })).await;
    world.pool("research", json!({ "parent": "org", "resources": four })).await;
    world.pool("held", json!({ "parent": "org", "state": "Hold" })).await;
    let nobody = json!({ "matchLabels": { "may": "use" } });
    world.pool("closed", json!({ "parent": "org", "namespaceSelector": nobody })).await;
    world.pool("lost", json!({ "parent": "nowhere" })).await;
    let rows = [
        ("no-pool", json!({ "weir.dev/pool": "none" }), json!({}), "PoolNotFound"),
        ("lost-pool", json!({ "weir.dev/pool": "lost" }), json!({}), "PoolNotFound"),
        ("inner-pool", json!({ "weir.dev/pool": "org" }), json!({}), "PoolNotLeaf"),
        ("held-pool", json!({ "weir.dev/pool": "held" }), json!({}), "PoolHeld"),
        ("closed-pool", json!({ "weir.dev/pool": "closed" }), json!({}), "PoolNotAllowed"),
        ("contradiction", json!({ "weir.dev/pool": "research", "resource-pool": "held" }), json!({}), "Misconfigured"),
        ("half-a-gang", json!({ "weir.dev/pool": "research", "number-gang-members": "3" }), json!({}), "Misconfigured"),
        ("no-boolean", json!({ "weir.dev/pool": "research", "preemptible": "yes" }), json!({}), "Misconfigured"),
        ("foreign", json!({ "weir.dev/pool": "research" }), json!({ "schedulerName": "volcano" }), "Misconfigured"),
        ("too-large", json!({ "weir.dev/pool": "research" }), world::asks("7"), "ExceedsMaxQuota"),
        ("not-reserved", json!({ "weir.dev/pool": "research" }), world::asks("5"), "ExceedsReservation"),
        ("unknown-model", json!({ "weir.dev/pool": "research" }), world::names_model("B200"), "UnknownModel"),
    ];
    world.label_node("n1", "gpu-node-label-model", "T4").await;
    for (name, annotations, spec, _) in &rows {
        world.create(pod("team", name, annotations.clone(), spec.clone())).await;
    }
    for (name, _, _, expected) in &rows {
        world.until(name, expected, |pod| reason(pod).as_deref() == Some(*expected)).await;
    }
    // The rest goes on.
    world.create(pod("team", "fine", json!({ "weir.dev/pool": "research" }), world::cpu_hosts("1"))).await;
    world.until("fine", "somebody without a mistake is admitted", admitted).await;
    // Nothing is lost when a mistake is corrected.
    world.pool("none", json!({ "resources": [{ "name": "cpu", "reservation": "1" }] })).await;
    world.until("no-pool", "its pool was created", admitted).await;
    world.label_namespace("team", "may", "use").await;
    world
        .until("closed-pool", "its namespace may use the pool", |pod| reason(pod).as_deref() != Some("PoolNotAllowed"))
        .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gang_is_admitted_whole_although_the_sidecar_is_killed_in_the_middle() {
    let world = World::start("cycle: {writers: 1}\nlease: {duration: 3s, renewBefore: 1s}").await;
    world.node("n1", json!({ "cpu": "64" })).await;
    world.pool("research", json!({ "resources": [{ "name": "cpu", "reservation": "64" }] })).await;
    let members: Vec<_> = (0..40).map(|at| format!("m{at}")).collect();
    let member = |name: &str| {
        let mut member =
            pod("team", name, json!({ "weir.dev/pool": "research", "number-gang-members": "40" }), json!({}));
        member["metadata"]["labels"] = json!({ "gang-member": "train" });
        member
    };
    for name in &members[..39] {
        world.create(member(name)).await;
    }
    world.until("m38", "one is missing", |pod| reason(pod).as_deref() == Some("WaitingForGang")).await;
    world.create(member("m39")).await;
    world.until_any("the first gate goes", admitted).await;
    world.sidecar("a").kill().await.unwrap();
    let left = world.gated("team").await;
    world.run_sidecar("b", "lease: {duration: 3s, renewBefore: 1s}").await;
    for name in &members {
        world.until(name, "the gang is finished", admitted).await;
    }
    let round = world.round().await;
    assert!(round["spec"]["epoch"].as_i64() >= Some(2), "{round}");
    println!("killed with {left} of 40 gates left");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_leaders_at_once_admit_no_more_than_there_is() {
    let world = World::start("").await;
    world.node("n1", json!({ "cpu": "20" })).await;
    world.pool("research", json!({ "resources": [{ "name": "cpu", "reservation": "20" }] })).await;
    // A second one with a lease elsewhere, so that both believe to lead.
    world.namespace("elsewhere", json!({})).await;
    world.rights_in("elsewhere").await;
    world.run_sidecar("b", "namespace: elsewhere\nwebhook: {install: false}").await;
    for at in 0..60 {
        world.create(pod("team", &format!("p{at}"), json!({ "weir.dev/pool": "research" }), json!({}))).await;
    }
    world.until_count("twenty pods of one core each run", 20, admitted).await;
    // Those who are left were all judged, and nobody else was admitted.
    world.until_count("forty are told to wait", 40, |pod| gated(pod) && reason(pod).is_some()).await;
    assert_eq!(world.gated("team").await, 40);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enforcement_everybody_goes_and_hears_what_would_have_been() {
    let world = World::start("enforce: false").await;
    world.node("n1", json!({ "cpu": "2" })).await;
    world.pool("research", json!({ "resources": [{ "name": "cpu", "reservation": "2", "limit": "2" }] })).await;
    world.create(pod("team", "large", json!({ "weir.dev/pool": "research" }), world::asks("8"))).await;
    let large = world.until("large", "it goes", admitted).await;
    assert_eq!(large.metadata.annotations.unwrap()["weir.dev/admitted-as"], "NotEnforced");
    world
        .until("large", "it hears why it would have waited", |pod| reason(pod).as_deref() == Some("NotEnforced"))
        .await;
    world.end().await;
}
