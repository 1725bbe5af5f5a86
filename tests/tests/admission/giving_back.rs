//! C1–C5, A12 and B7 on a real API server with the real disruption controller: a pool above its entitlement
//! gives back, with a reason first, past no budget, and to nobody's loss who need not go; a leader that is
//! killed in the middle is carried on from its record.
//!
//! There is no kubelet and no scheduler here: a test binds pods and says that they run, and a pod without a
//! grace period is gone when it is evicted.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use weir_api::{Gang, ResourcePool};

use crate::world::{World, admitted, pod, reason};

/// Evictions begin at once, and after two seconds above the entitlement.
const EAGER: &str = "cycle: {adoptionGrace: 0s, reclaimAfter: 2s, evictionRetry: 3s}\n\
                     lease: {duration: 3s, renewBefore: 1s}";

/// ```text
/// cluster        2 hosts × 4 cores
/// ├─ production  reserves 4
/// └─ research    borrows; this stands in its preemption
/// ```
async fn two_pools(config: &str, preemption: Value) -> World {
    let world = World::start(config).await;
    world.node("n1", json!({ "cpu": "4" })).await;
    world.node("n2", json!({ "cpu": "4" })).await;
    world.pool("production", json!({ "resources": [{ "name": "cpu", "reservation": "4" }] })).await;
    world.pool("research", json!({ "preemption": preemption })).await;
    world
}

impl World {
    /// Creates a preemptible pod of research that asks for this many cores, and lets it run on a node.
    async fn run(&self, name: &str, node: &str, cores: &str, labels: Value) {
        let annotations = json!({ "weir.dev/pool": "research", "weir.dev/preemptible": "true" });
        let mut object = pod("team", name, annotations, crate::world::asks(cores));
        object["metadata"]["labels"] = labels;
        object["spec"]["terminationGracePeriodSeconds"] = json!(0);
        self.create(object).await;
        self.bind(name, node).await;
    }

    /// Binds a pod once it is admitted, and says that it runs and is well.
    async fn bind(&self, name: &str, node: &str) {
        self.until(name, "it is admitted", admitted).await;
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), "team");
        let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node } });
        let _: Value = pods.create_subresource("binding", name, &PostParams::default(), &binding).await.unwrap();
        let runs = json!({ "status": { "phase": "Running", "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{ "type": "Ready", "status": "True" }] } });
        pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(runs)).await.unwrap();
    }

    /// Creates a pod of production that asks for this many cores.
    async fn claim(&self, name: &str, cores: &str) {
        self.create(pod("team", name, json!({ "weir.dev/pool": "production" }), crate::world::asks(cores))).await;
    }

    async fn delete(&self, name: &str) {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), "team");
        pods.delete(name, &kube::api::DeleteParams::default().grace_period(0)).await.unwrap();
    }

    /// A budget over the pods with this label, and its number once the disruption controller has seen it.
    async fn budget(&self, name: &str, label: &str, min_available: i32, expected: i32) {
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.cluster.client(), "team");
        let budget = json!({ "metadata": { "name": name },
            "spec": { "minAvailable": min_available, "selector": { "matchLabels": { "app": label } } } });
        budgets.create(&PostParams::default(), &serde_json::from_value(budget).unwrap()).await.unwrap();
        let allows = move |budget: Option<&PodDisruptionBudget>| {
            budget.and_then(|budget| budget.status.as_ref()).is_some_and(|it| it.disruptions_allowed == expected)
        };
        await_condition(budgets, name, allows).await.unwrap();
    }

    /// The names of the pods of research that are there.
    async fn staying(&self) -> BTreeSet<String> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), "team");
        let selected = pods.list(&ListParams::default().labels("weir.dev/pool=research")).await.unwrap();
        selected.iter().map(ResourceExt::name_any).collect()
    }
}

/// Status, reason and sentence of the condition that an eviction begins with.
fn preempted(pod: &Pod) -> Option<(bool, String, String)> {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let found = conditions.into_iter().find(|one| one.type_ == "weir.dev/Preempted")?;
    Some((found.status == "True", found.reason.clone()?, found.message.clone()?))
}

fn goes(pod: &Pod) -> bool {
    preempted(pod).is_some_and(|(yes, _, _)| yes)
}

fn stays(pod: &Pod) -> bool {
    preempted(pod).is_some_and(|(yes, _, _)| !yes)
}

fn none() -> Value {
    json!({})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimant_gets_one_whole_host_from_a_pool_above_its_entitlement_and_then_evictions_end() {
    let world = two_pools(EAGER, json!({})).await;
    for (at, node) in [(1, "n1"), (2, "n1"), (3, "n2"), (4, "n2")] {
        world.run(&format!("r{at}"), node, "2", none()).await;
    }
    world.claim("prod", "4").await;
    world.until("prod", "what was freed reaches it", admitted).await;
    let left = world.staying().await;
    let host = |names: [&str; 2]| names.map(str::to_owned).into_iter().collect::<BTreeSet<_>>();
    assert!(left == host(["r1", "r2"]) || left == host(["r3", "r4"]), "one whole host, not one pod of each: {left:?}");
    for name in host(["r1", "r2"]).union(&host(["r3", "r4"])).filter(|name| !left.contains(*name)) {
        let told = world.until(name, "the reason stands on it before it goes", goes).await;
        let (_, reason, sentence) = preempted(&told).unwrap();
        assert_eq!(reason, "Reclaimed");
        assert!(
            sentence
                .starts_with("pool \"research\" uses 8000 cpu and is entitled to 4000; the room goes to pod team/prod"),
            "{sentence}"
        );
    }
    // The same demand again is above what production is entitled to: nobody goes for it.
    world.claim("more", "4").await;
    world.until("more", "it waits for its own pool", |pod| reason(pod).is_some()).await;
    assert_eq!(world.staying().await, left);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_can_be_taken_back_and_a_leader_killed_between_reason_and_eviction_is_carried_on() {
    let world = two_pools(EAGER, json!({ "notice": "6s" })).await;
    world.run("r1", "n1", "4", none()).await;
    world.run("r2", "n2", "4", none()).await;
    world.claim("prod", "4").await;
    world.until_any("somebody is given notice", goes).await;
    world.delete("prod").await;
    world
        .until_any("it need not go any more", |pod| {
            preempted(pod).is_some_and(|(yes, reason, _)| !yes && reason == "NotNeeded")
        })
        .await;
    assert_eq!(world.staying().await.len(), 2);

    world.claim("again", "4").await;
    world.until("again", "its place is made", |pod| reason(pod).as_deref() == Some("WaitingForPreemption")).await;
    let recorded = world.round().await["spec"]["victims"][0]["name"].as_str().unwrap().to_owned();
    world.until(&recorded, "the reason stands on it", goes).await;
    world.sidecar("a").kill().await.unwrap();
    assert_eq!(world.staying().await.len(), 2, "killed before the eviction");
    world.run_sidecar("b", EAGER).await;
    world.until("again", "the new leader goes on with the claim", admitted).await;
    let left = world.staying().await;
    assert!(left.len() == 1 && !left.contains(&recorded), "{left:?} and not {recorded}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_hold_and_a_gang_goes_whole_or_not_at_all() {
    let world = two_pools(EAGER, json!({})).await;
    // A gang that a budget keeps together on n1; on n2 one pod under two budgets and one under none.
    for name in ["g1", "g2"] {
        let labels = json!({ "gang-member": "train", "app": "train" });
        let annotations =
            json!({ "weir.dev/pool": "research", "weir.dev/preemptible": "true", "number-gang-members": "2" });
        let mut object = pod("team", name, annotations, crate::world::asks("2"));
        object["metadata"]["labels"] = labels;
        object["spec"]["terminationGracePeriodSeconds"] = json!(0);
        world.create(object).await;
    }
    world.bind("g1", "n1").await;
    world.bind("g2", "n1").await;
    world.run("twice", "n2", "2", json!({ "app": "twice" })).await;
    world.run("free", "n2", "2", none()).await;
    world.budget("train", "train", 1, 1).await;
    world.budget("twice-a", "twice", 0, 1).await;
    world.budget("twice-b", "twice", 0, 1).await;
    world.claim("half", "2").await;
    world.until("half", "it gets the place of whoever no budget keeps", admitted).await;
    assert_eq!(world.staying().await, ["g1", "g2", "twice"].map(str::to_owned).into());
    world.bind("half", "n2").await;

    // Nobody is left whom all budgets allow to go.
    world.claim("rest", "2").await;
    world.until("rest", "it waits", |pod| reason(pod).is_some()).await;
    // The budget changes, and now all of the gang may go.
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(world.cluster.client(), "team");
    let loose = json!({ "spec": { "minAvailable": 0 } });
    budgets.patch("train", &PatchParams::default(), &Patch::Merge(loose)).await.unwrap();
    world.until("rest", "the gang gave way", admitted).await;
    assert_eq!(world.staying().await, ["twice"].map(str::to_owned).into(), "a gang goes whole");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_pool_and_pods_without_a_place_lose_theirs_and_owners_back_off() {
    let config = format!("{EAGER}\n")
        .replace("cycle: {", "cycle: {placementTimeout: 4s, schedulerPatience: 6s, backOffFirst: 20s, ");
    let world = two_pools(&config, json!({})).await;
    world.run("drained", "n1", "1", none()).await;
    let pools: Api<ResourcePool> = Api::all(world.cluster.client());
    let state = |state: &str| Patch::Merge(json!({ "spec": { "state": state } }));
    pools.patch("research", &PatchParams::default(), &state("Drain")).await.unwrap();
    let told = world.until("drained", "its pool drains", goes).await;
    assert_eq!(preempted(&told).unwrap().1, "Drained");

    // A gang that is admitted and finds no place, while the scheduler shows signs of life.
    let owners: Api<ConfigMap> = Api::namespaced(world.cluster.client(), "team");
    let owner = serde_json::from_value(json!({ "metadata": { "name": "owner" } })).unwrap();
    let owner = owners.create(&PostParams::default(), &owner).await.unwrap();
    let member = |name: &str| {
        let annotations = json!({ "weir.dev/pool": "production", "number-gang-members": "2" });
        let mut object = pod("team", name, annotations, crate::world::asks("1"));
        object["metadata"]["labels"] = json!({ "gang-member": "late" });
        object["spec"]["terminationGracePeriodSeconds"] = json!(0);
        object["metadata"]["ownerReferences"] = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
            "uid": owner.metadata.uid, "controller": true }]);
        object
    };
    world.create(member("l1")).await;
    world.create(member("l2")).await;
    world.bind("l1", "n1").await;
    world.until("l2", "it is admitted", admitted).await;
    let text = json!({ "replica": "a", "renewedAt": owner.metadata.creation_timestamp, "plugins": [] }).to_string();
    let report = json!({ "metadata": { "name": "weir-plugins-a", "labels": { "weir.dev/component": "plugins" } },
        "data": { "plugins.json": text } });
    let reports: Api<ConfigMap> = Api::namespaced(world.cluster.client(), "weir-system");
    reports.create(&PostParams::default(), &serde_json::from_value(report).unwrap()).await.unwrap();
    let told = world.until("l2", "it was not placed in time", goes).await;
    let (_, word, sentence) = preempted(&told).unwrap();
    assert_eq!(word, "PlacementTimeout");
    assert!(sentence.contains("1 of 2 placed"), "{sentence}");
    world.until("l1", "the gang never ran whole, so it goes whole", goes).await;
    let gangs: Api<Gang> = Api::namespaced(world.cluster.client(), "team");
    await_condition(gangs, "late", |gang: Option<&Gang>| gang.is_none()).await.unwrap();

    // Its controller makes them again at once; they wait longer than it takes to see why.
    world.create(member("l3")).await;
    world.create(member("l4")).await;
    let again =
        world.until("l3", "its owner backs off", |pod| reason(pod).as_deref() == Some("PlacementTimeout")).await;
    assert!(!admitted(&again));
    let events: Api<Event> = Api::namespaced(world.cluster.client(), "team");
    let about_owner =
        |event: &Event| event.regarding.as_ref().is_some_and(|it| it.kind.as_deref() == Some("ConfigMap"));
    let listed = events.list(&ListParams::default()).await.unwrap();
    assert!(listed.iter().any(about_owner), "an event on the owner says why");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enforcement_it_is_said_who_would_have_been_evicted_and_nobody_is() {
    let world = two_pools(&format!("{EAGER}\nenforce: false"), json!({})).await;
    world.run("r1", "n1", "4", none()).await;
    world.run("r2", "n2", "4", none()).await;
    world.claim("prod", "4").await;
    world.until("prod", "it goes although there is no room", admitted).await;
    world
        .until_any("somebody hears that it would have gone", |pod| {
            stays(pod)
                && preempted(pod).is_some_and(|(_, reason, sentence)| {
                    reason == "NotEnforced"
                        && sentence.contains("it would have been evicted: pool \"research\" uses 8000 cpu")
                })
        })
        .await;
    assert_eq!(world.staying().await.len(), 2);
    world.end().await;
}
