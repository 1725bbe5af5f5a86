//! Admitted and without a place (B7), with those who really decide about it: the scheduler, which may stand still
//! for as long as it likes, and a Job, which hears of what became of its pods.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use weir_local::{Checkout, Scheduler};
use weir_tests::install::apply;
use weir_tests::setup::Setup;

use super::preempted;
use crate::history::Record;
use crate::namespace::{TestNamespace, condition, is_gated, pod};
use crate::world::World;

/// How long a pod may stay without a place here.
const PLACEMENT_TIMEOUT: Duration = Duration::from_secs(6);

async fn scheduler(world: &World) -> Scheduler {
    let rights = Checkout::find().unwrap().root().join("scheduler-config/rbac.yaml");
    apply(&world.cluster.client(), &rights).await.unwrap();
    Setup::shipped().unwrap().start(&world.cluster).await.unwrap()
}

async fn owner(ns: &TestNamespace<'_>) -> ConfigMap {
    let owners: Api<ConfigMap> = Api::namespaced(ns.client.clone(), &ns.namespace);
    let owner = serde_json::from_value(json!({ "metadata": { "name": "owner" } })).unwrap();
    owners.create(&PostParams::default(), &owner).await.unwrap()
}

fn is_bound(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_stands_still_kills_nobody_and_one_that_works_gives_back_what_it_cannot_place() {
    let world = World::private("cycle: {adoptionGrace: 0s, placementTimeout: 6s, schedulerPatience: 3s}").await;
    let scheduler = scheduler(&world).await;
    world.node("n1", json!({}), json!({ "cpu": "64" })).await;
    let ns = world.namespace("team").await;
    ns.pool_of("research", "64").await;
    let owner = owner(&ns).await;
    let of = |name: &str| pod(name).pool("research").owned_by(&owner);
    ns.create(of("before")).await;
    ns.until_pod("before", "it is bound", is_bound).await;

    let signal = |signal| {
        let id = Pid::from_raw(i32::try_from(scheduler.process().id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    };
    signal(Signal::STOP);
    // One that only waits for the scheduler, and one that no scheduler can place: it wants to be beside somebody
    // who is not there, which admission leaves to the scheduler (B6).
    ns.create(of("late")).await;
    let beside = json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
        { "labelSelector": { "matchLabels": { "app": "nobody" } }, "topologyKey": "kubernetes.io/hostname" }] } });
    ns.create(of("nowhere").with("affinity", beside)).await;
    ns.admitted("late").await;
    ns.admitted("nowhere").await;
    // It is time itself that is waited for: twice what would kill both.
    tokio::time::sleep(PLACEMENT_TIMEOUT * 2).await;
    ns.create(of("proof")).await;
    ns.admitted("proof").await;
    let spoken_of = |record: &Record| record.past().filter(|pod| preempted(pod).is_some()).count();
    assert_eq!(world.history.now(spoken_of), 0, "the sidecar decides, and has not thought of killing anybody");

    signal(Signal::CONT);
    ns.until_pod("late", "it is bound", is_bound).await;
    ns.until_pod("proof", "it is bound", is_bound).await;
    // From here on the scheduler shows that it works: a pod that it places at each second.
    let key = (ns.namespace.clone(), "nowhere".to_owned());
    for at in 0..60 {
        if world.history.now(|record| !record.pods.contains_key(&key)) {
            break;
        }
        let name = format!("sign-{at}");
        ns.create(of(&name)).await;
        ns.until_pod(&name, "it is bound", is_bound).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (word, sentence) = ns.goes("nowhere").await;
    assert_eq!(word, "PlacementTimeout");
    assert!(sentence.ends_with("0 of 1 placed: killed to give the resources back"), "{sentence}");
    ns.event("ConfigMap", "owner", "PlacementTimeout", "pod nowhere: admitted and not placed for").await;
    let others =
        |record: &Record| record.past().filter(|pod| preempted(pod).is_some() && pod.name_any() != "nowhere").count();
    assert_eq!(world.history.now(others), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_hears_that_its_gang_found_no_place_the_gang_says_so_and_its_new_pods_back_off() {
    let shorter = "cycle: {adoptionGrace: 0s, placementTimeout: 2s, schedulerPatience: 6s, backOffFirst: 600s}";
    let world = World::private(shorter).await;
    world.node("n1", json!({}), json!({ "cpu": "4" })).await;
    let ns = world.namespace("team").await;
    ns.pool_of("research", "4").await;
    let template = json!({
        "metadata": { "labels": { "gang-member": "train" },
            "annotations": { "weir.dev/pool": "research", "number-gang-members": "2" } },
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i",
            "resources": { "requests": { "cpu": "1" } } }] } });
    let job = json!({ "metadata": { "name": "nightly" }, "spec": { "parallelism": 2, "completions": 2,
        "backoffLimit": 6, "template": template } });
    let jobs: Api<Job> = Api::namespaced(ns.client.clone(), "team");
    jobs.create(&PostParams::default(), &serde_json::from_value(job).unwrap()).await.unwrap();
    let of_job = |record: &Record, holds: fn(&Pod) -> bool| {
        let pods = record.pods.values().filter(|pod| pod.name_any().starts_with("nightly-") && holds(pod));
        pods.map(|pod| pod.uid().unwrap()).collect::<Vec<_>>()
    };
    let admitted = |record: &Record| Some(of_job(record, crate::namespace::is_admitted)).filter(|pods| pods.len() == 2);
    let first = ns.until("both pods of the job are admitted", admitted).await;
    ns.scheduler_lives(&owner(&ns).await).await;
    ns.event("Job", "nightly", "PlacementTimeout", "0 of 2 placed: killed to give the resources back").await;
    // The Job makes both again, and they wait.
    let backs_off = |pod: &Pod| {
        is_gated(pod)
            && condition(pod)
                .is_some_and(|(_, why, text)| why == "PlacementTimeout" && text.contains("its owner may try again"))
    };
    let again = ns
        .until("both are made again and back off", |record| {
            Some(of_job(record, backs_off)).filter(|pods| pods.len() == 2)
        })
        .await;
    assert!(again.iter().all(|uid| !first.contains(uid)));
    ns.gang_says("train", "weir.dev/Admitted", "PlacementTimeout").await;
    world.end().await;
}
