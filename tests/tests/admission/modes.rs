//! Turning it on where something runs, turning it off, and release by hand.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::process::Command;
use weir_local::Identity;
use weir_tests::program::{Ended, to_its_end};

use crate::namespace::{condition, grounds, is_gated, pod};
use crate::world::{SHORT_LEASE, World};

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_ran_before_are_adopted_and_nobody_is_admitted_on_what_they_hold() {
    let world = World::bare().await;
    world.node("n1", json!({}), json!({ "cpu": "4" })).await;
    let ns = world.namespace("team").await;
    ns.create(pod("old").pool("research").asks("cpu", "3").with("nodeName", json!("n1"))).await;
    ns.create(pod("unmanaged").with("nodeName", json!("n1"))).await;
    world.run_sidecar("a", "").await.unwrap();
    ns.pool_of("research", "4").await;
    let adopted = |pod: &k8s_openapi::api::core::v1::Pod| condition(pod).is_some_and(|told| told.1 == "Adopted");
    ns.until_pod("old", "it is adopted", adopted).await;
    ns.create(pod("new").pool("research")).await;
    ns.waits("new", "WaitingForQuota", "1000 cpu").await;
    ns.delete("old").await;
    ns.admitted("new").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enforcement_everybody_goes_and_hears_what_would_have_been() {
    let world = World::private("enforce: false").await;
    world.node("n1", json!({}), json!({ "cpu": "2" })).await;
    let ns = world.namespace("team").await;
    ns.pool("research", json!({ "resources": [{ "name": "cpu", "reservation": "2", "limit": "2" }] })).await;
    ns.create(pod("large").pool("research").asks("cpu", "8")).await;
    let large = ns.admitted("large").await;
    assert_eq!(grounds(&large), Some("NotEnforced"));
    let hears = |pod: &k8s_openapi::api::core::v1::Pod| {
        condition(pod).is_some_and(|(yes, reason, text)| {
            yes == "True" && reason == "NotEnforced" && text.contains("it would have waited (ExceedsMaxQuota)")
        })
    };
    ns.until_pod("large", "it hears why it would have waited", hears).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_release_breaks_the_glass_with_the_sidecar_down_and_nobody_else_does() {
    let world = World::private(SHORT_LEASE).await;
    world.node("n1", json!({}), json!({ "cpu": "4" })).await;
    let ns = world.namespace("team").await;
    ns.create(pod("p").pool("nowhere")).await;
    ns.create(pod("q").pool("nowhere")).await;
    ns.waits("p", "PoolNotFound", "there is no pool \"nowhere\"").await;
    ns.waits("q", "PoolNotFound", "there is no pool \"nowhere\"").await;
    world.kill_sidecar("a").await;

    // Who may patch pods and not release them is told so by the command, and by the policy if he goes his own way.
    let tenant = ns.owner("tenant").await;
    ns.grant("view-pods", "tenant").await;
    viewers(&ns).await;
    let refused = break_glass(&world, "tenant").await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("ask for the verb release on resourcepools.weir.dev"), "{refused:?}");
    let by_hand = ns.change_as(&tenant, "p", json!({ "spec": { "schedulingGates": null } })).await.unwrap_err();
    assert!(by_hand.contains("removing weir.dev/admission is the admission"), "{by_hand}");

    ns.grant("weir-break-glass", "ada").await;
    let released = break_glass(&world, "ada").await;
    assert_eq!(released.code, Some(0), "{released:?}");
    let answer: Value = serde_json::from_str(&released.stdout).unwrap();
    assert_eq!((&answer["selected"], &answer["released"]), (&json!(2), &json!(2)), "{answer}");
    for name in ["p", "q"] {
        let pod = ns.until_pod(name, "its gate is gone", |pod| !is_gated(pod)).await;
        assert_eq!(grounds(&pod), Some("Released"));
        ns.event("Pod", name, "Released", "released by ada with weir break-glass").await;
    }
    // Whoever comes back finds them, counts them and leaves them alone.
    world.run_sidecar("b", SHORT_LEASE).await.unwrap();
    ns.rest_goes_on().await;
    world.end().await;
}

/// Who may look at pods everywhere, as the command does.
async fn viewers(ns: &crate::namespace::TestNamespace<'_>) {
    let rules = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] }]);
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "view-pods" }, "rules": rules });
    weir_tests::install::apply_object(&ns.client, &serde_json::from_value(role).unwrap()).await.unwrap();
}

async fn break_glass(world: &World, user: &str) -> Ended {
    let kubeconfig: PathBuf = world.cluster.kubeconfig_of(&Identity::user(user)).unwrap();
    let mut command = Command::new(crate::commands::program("weir"));
    command.args(["break-glass", "--yes", "--reason", "a test", "-o", "json", "--kubeconfig"]).arg(kubeconfig);
    to_its_end(&mut command).await.unwrap()
}
