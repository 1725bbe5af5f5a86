//! Turning it on where something runs, turning it off, and release by hand.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::process::Command;
use weir_local::Identity;
use weir_tests::program::{Ended, to_its_end};

use crate::row::{condition, grounds, is_gated, pod};
use crate::world::{SHORT_LEASE, World};

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_ran_before_are_adopted_and_nobody_is_admitted_on_what_they_hold() {
    let world = World::bare().await;
    world.node("n1", json!({}), json!({ "cpu": "4" })).await;
    let row = world.row("team").await;
    row.create(pod("old").pool("research").asks("cpu", "3").with("nodeName", json!("n1"))).await;
    row.create(pod("unmanaged").with("nodeName", json!("n1"))).await;
    world.run_sidecar("a", "").await.unwrap();
    row.pool_of("research", "4").await;
    let adopted = |pod: &k8s_openapi::api::core::v1::Pod| condition(pod).is_some_and(|told| told.1 == "Adopted");
    row.until_pod("old", "it is adopted", adopted).await;
    row.create(pod("new").pool("research")).await;
    row.waits("new", "WaitingForQuota", "1000 cpu").await;
    row.delete("old").await;
    row.admitted("new").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enforcement_everybody_goes_and_hears_what_would_have_been() {
    let world = World::private("enforce: false").await;
    world.node("n1", json!({}), json!({ "cpu": "2" })).await;
    let row = world.row("team").await;
    row.pool("research", json!({ "resources": [{ "name": "cpu", "reservation": "2", "limit": "2" }] })).await;
    row.create(pod("large").pool("research").asks("cpu", "8")).await;
    let large = row.admitted("large").await;
    assert_eq!(grounds(&large), Some("NotEnforced"));
    let hears = |pod: &k8s_openapi::api::core::v1::Pod| {
        condition(pod).is_some_and(|(yes, reason, text)| {
            yes == "True" && reason == "NotEnforced" && text.contains("it would have waited (ExceedsMaxQuota)")
        })
    };
    row.until_pod("large", "it hears why it would have waited", hears).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_release_breaks_the_glass_with_the_sidecar_down_and_nobody_else_does() {
    let world = World::private(SHORT_LEASE).await;
    world.node("n1", json!({}), json!({ "cpu": "4" })).await;
    let row = world.row("team").await;
    row.create(pod("p").pool("nowhere")).await;
    row.create(pod("q").pool("nowhere")).await;
    row.waits("p", "PoolNotFound", "there is no pool \"nowhere\"").await;
    row.waits("q", "PoolNotFound", "there is no pool \"nowhere\"").await;
    world.kill_sidecar("a").await;

    // Who may patch pods and not release them is told so by the command, and by the policy if he goes his own way.
    let tenant = row.owner("tenant").await;
    row.grant("view-pods", "tenant").await;
    viewers(&row).await;
    let refused = break_glass(&world, "tenant").await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("ask for the verb release on resourcepools.weir.dev"), "{refused:?}");
    let by_hand = row.change_as(&tenant, "p", json!({ "spec": { "schedulingGates": null } })).await.unwrap_err();
    assert!(by_hand.contains("removing weir.dev/admission is the admission"), "{by_hand}");

    row.grant("weir-break-glass", "ada").await;
    let released = break_glass(&world, "ada").await;
    assert_eq!(released.code, Some(0), "{released:?}");
    let answer: Value = serde_json::from_str(&released.stdout).unwrap();
    assert_eq!((&answer["selected"], &answer["released"]), (&json!(2), &json!(2)), "{answer}");
    for name in ["p", "q"] {
        let pod = row.until_pod(name, "its gate is gone", |pod| !is_gated(pod)).await;
        assert_eq!(grounds(&pod), Some("Released"));
        row.event("Pod", name, "Released", "released by ada with weir break-glass").await;
    }
    // Whoever comes back finds them, counts them and leaves them alone.
    world.run_sidecar("b", SHORT_LEASE).await.unwrap();
    row.rest_goes_on().await;
    world.end().await;
}

/// Who may look at pods everywhere, as the command does.
async fn viewers(row: &crate::row::Row<'_>) {
    let rules = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] }]);
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "view-pods" }, "rules": rules });
    weir_tests::install::apply_object(&row.client, &serde_json::from_value(role).unwrap()).await.unwrap();
}

async fn break_glass(world: &World, user: &str) -> Ended {
    let kubeconfig: PathBuf = world.cluster.kubeconfig_of(&Identity::user(user)).unwrap();
    let mut command = Command::new(crate::commands::program("weir"));
    command.args(["break-glass", "--yes", "--reason", "a test", "-o", "json", "--kubeconfig"]).arg(kubeconfig);
    to_its_end(&mut command).await.unwrap()
}
