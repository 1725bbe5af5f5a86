//! Admitted and without a place (B7), with what really decides about it: the scheduler, which may stand still for any
//! time, and a Job, which hears of what became of its pods.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;
use weir_tests::history::View;
use weir_tests::namespace::reclaim::Reason;
use weir_tests::objects::{ADMITTED, condition, is_admitted, is_gated, node, pod};
use weir_tests::program::Stopped;
use weir_tests::setup::Setup;
use weir_tests::world::World;

use super::is_told;

/// How long a pod may stay without a place here.
const PLACEMENT_TIMEOUT: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_stands_still_kills_nobody_and_one_that_works_gives_back_what_it_cannot_place() -> Result<()> {
    let world = World::with_sidecar("cycle: {adoptionGrace: 0s, placementTimeout: 6s, schedulerPatience: 3s}").await?;
    let scheduler = world.run_scheduler(&Setup::shipped()?).await?;
    world.add_node(&node("n1").cores(64)).await?;
    let ns = world.namespace("team").await?;
    ns.create_pool_of("research", "64").await?;
    let owner = ns.create_owner("owner").await?;
    let of = |name: &str| pod(name).pool("research").owned_by(&owner);
    ns.create_pod(&of("before")).await?;
    ns.until_bound("before").await?;

    let stopped = Stopped::process(scheduler.process().id())?;
    // One that only waits for the scheduler, and one that no scheduler can place: it wants to be beside a pod that is
    // not there, which admission leaves to the scheduler (B6).
    ns.create_pod(&of("late")).await?;
    let beside = json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
        { "labelSelector": { "matchLabels": { "app": "nobody" } }, "topologyKey": "kubernetes.io/hostname" }] } });
    ns.create_pod(&of("nowhere").with("affinity", beside)).await?;
    ns.until_admitted("late").await?;
    ns.until_admitted("nowhere").await?;
    // It is time itself that is waited for: twice what would kill both.
    let told = |seen: View<'_>| seen.past().find(|pod| is_told(pod)).map(|pod| pod.name_any());
    assert_eq!(ns.within(PLACEMENT_TIMEOUT * 2, told).await?, None, "no pod is to be killed");
    ns.create_pod(&of("proof")).await?;
    ns.until_admitted("proof").await?;
    assert_eq!(ns.now(told), None, "the sidecar decides, and has not thought of killing a pod");

    drop(stopped);
    ns.until_bound("late").await?;
    ns.until_bound("proof").await?;
    // From here on the scheduler shows that it works: a pod that it places at each second.
    for at in 0..60 {
        let gone = |seen: View<'_>| seen.pod("nowhere").is_none().then_some(());
        if ns.within(Duration::from_secs(1), gone).await?.is_some() {
            break;
        }
        let name = format!("sign-{at}");
        ns.create_pod(&of(&name)).await?;
        ns.until_bound(&name).await?;
    }
    let Reason { reason, message } = ns.until_evicted("nowhere").await?;
    assert_eq!(reason, "PlacementTimeout");
    assert!(message.ends_with("0 of 1 placed: killed to give the resources back"), "{message}");
    ns.until_event("ConfigMap", "owner", "PlacementTimeout", "pod nowhere: admitted and not placed for").await?;
    let others = |seen: View<'_>| seen.past().filter(|pod| is_told(pod) && pod.name_any() != "nowhere").count();
    assert_eq!(ns.now(others), 0);
    world.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_hears_that_its_gang_found_no_place_the_gang_says_so_and_its_new_pods_back_off() -> Result<()> {
    let shorter = "cycle: {adoptionGrace: 0s, placementTimeout: 2s, schedulerPatience: 6s, backOffFirst: 600s}";
    let world = World::with_sidecar(shorter).await?;
    world.add_node(&node("n1").cores(4)).await?;
    let ns = world.namespace("team").await?;
    ns.create_pool_of("research", "4").await?;
    let template = json!({
        "metadata": { "labels": { "gang-member": "train" },
            "annotations": { "weir.dev/pool": "research", "number-gang-members": "2" } },
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i",
            "resources": { "requests": { "cpu": "1" } } }] } });
    ns.apply(&json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "nightly", "namespace": "team" },
        "spec": { "parallelism": 2, "completions": 2, "backoffLimit": 6, "template": template } }))
        .await?;
    let two_of_job = |seen: View<'_>, holds: fn(&Pod) -> bool| {
        let pods = seen.pods().filter(|pod| pod.name_any().starts_with("nightly-") && holds(pod));
        let uids: Vec<_> = pods.filter_map(ResourceExt::uid).collect();
        (uids.len() == 2).then_some(uids)
    };
    let first = ns.until("both pods of the job are admitted", |seen| two_of_job(seen, is_admitted)).await?;
    ns.scheduler_lives(&ns.create_owner("owner").await?).await?;
    ns.until_event("Job", "nightly", "PlacementTimeout", "0 of 2 placed: killed to give the resources back").await?;
    // The Job makes both again, and they wait.
    let backs_off = |pod: &Pod| {
        let told = condition(pod, ADMITTED);
        is_gated(pod) && told.is_some_and(|told| told.says("PlacementTimeout", "its owner may try again"))
    };
    let again = ns.until("both are made again and back off", |seen| two_of_job(seen, backs_off)).await?;
    assert!(again.iter().all(|uid| !first.contains(uid)));
    ns.until_gang_says("train", "weir.dev/Admitted", "PlacementTimeout").await?;
    world.judge().await
}
