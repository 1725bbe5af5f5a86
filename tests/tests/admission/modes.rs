//! Turning it on where something runs, turning it off, and release by hand.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::process::Command;
use weir_local::Identity;
use weir_tests::objects::{ADMITTED, condition, grounds, is_gated, node, pod};
use weir_tests::program::{Ended, beside, to_its_end};
use weir_tests::world::{SHORT_LEASE, World};

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_ran_before_are_adopted_and_nobody_is_admitted_on_what_they_hold() -> Result<()> {
    let world = World::start().await?;
    world.add_node(&node("n1").cores(4)).await?;
    let ns = world.namespace("team").await?;
    ns.create_pod(&pod("old").pool("research").asks("cpu", "3").with("nodeName", json!("n1"))).await?;
    ns.create_pod(&pod("unmanaged").with("nodeName", json!("n1"))).await?;
    world.run_sidecar("a", "").await?;
    ns.create_pool_of("research", "4").await?;
    let adopted = |pod: &Pod| condition(pod, ADMITTED).is_some_and(|told| told.reason() == "Adopted");
    ns.until_pod("old", "it is adopted", adopted).await?;
    ns.create_pod(&pod("new").pool("research")).await?;
    ns.until_waiting("new", "WaitingForQuota", "1000 cpu").await?;
    ns.delete_pod("old").await?;
    ns.until_admitted("new").await?;
    world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enforcement_everybody_goes_and_hears_what_would_have_been() -> Result<()> {
    let world = World::with_sidecar("enforce: false").await?;
    world.add_node(&node("n1").cores(2)).await?;
    let ns = world.namespace("team").await?;
    ns.create_pool("research", json!({ "resources": [{ "name": "cpu", "reservation": "2", "limit": "2" }] })).await?;
    ns.create_pod(&pod("large").pool("research").asks("cpu", "8")).await?;
    let large = ns.until_admitted("large").await?;
    assert_eq!(grounds(&large), Some("NotEnforced"));
    let says = |pod: &Pod| {
        let words = "it would have waited (ExceedsMaxQuota)";
        condition(pod, ADMITTED).is_some_and(|told| told.is_true() && told.says("NotEnforced", words))
    };
    ns.until_pod("large", "it says why it would have waited", says).await?;
    world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_release_breaks_the_glass_with_the_sidecar_down_and_nobody_else_does() -> Result<()> {
    let world = World::with_sidecar(SHORT_LEASE).await?;
    world.add_node(&node("n1").cores(4)).await?;
    let ns = world.namespace("team").await?;
    ns.create_pod(&pod("p").pool("nowhere")).await?;
    ns.create_pod(&pod("q").pool("nowhere")).await?;
    ns.until_waiting("p", "PoolNotFound", "there is no pool \"nowhere\"").await?;
    ns.until_waiting("q", "PoolNotFound", "there is no pool \"nowhere\"").await?;
    world.kill_sidecar("a").await?;

    // A user who may patch pods and not release them is told so by the command, and by the policy without it.
    let tenant = ns.owner("tenant").await?;
    ns.viewer("tenant", &[""], &["pods"]).await?;
    let refused = break_glass(&world, "tenant").await?;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("ask for the verb release on resourcepools.weir.dev"), "{refused:?}");
    let by_hand = ns.change_refused(&tenant, "p", json!({ "spec": { "schedulingGates": null } })).await?;
    assert!(by_hand.contains("removing weir.dev/admission is the admission"), "{by_hand}");

    ns.grant("weir-break-glass", "ada").await?;
    let released = break_glass(&world, "ada").await?;
    assert_eq!(released.code, Some(0), "{released:?}");
    let answer: Value = serde_json::from_str(&released.stdout)?;
    assert_eq!((&answer["selected"], &answer["released"]), (&json!(2), &json!(2)), "{answer}");
    for name in ["p", "q"] {
        let pod = ns.until_pod(name, "its gate is gone", |pod| !is_gated(pod)).await?;
        assert_eq!(grounds(&pod), Some("Released"));
        ns.until_event("Pod", name, "Released", "released by ada with weir break-glass").await?;
    }
    // The next sidecar finds them, counts them and leaves them alone.
    world.run_sidecar("b", SHORT_LEASE).await?;
    ns.rest_goes_on().await?;
    world.judge().await
}

async fn break_glass(world: &World, user: &str) -> Result<Ended> {
    let mut command = Command::new(beside("weir")?);
    command.args(["break-glass", "--yes", "--reason", "a test", "-o", "json", "--kubeconfig"]);
    command.arg(world.cluster.kubeconfig_of(&Identity::user(user))?);
    to_its_end(&mut command).await
}
