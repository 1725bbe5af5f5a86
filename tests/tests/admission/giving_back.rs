//! C1–C5, A12 and B7 with the real disruption controller: a pool above its entitlement gives back, with a reason
//! first, past no budget, and to nobody's loss who need not go; a leader that is killed in the middle is carried
//! on from its record.
//!
//! Nobody schedules here: a test binds pods and says that they run, and a pod without a grace period is gone
//! when it is evicted.
//!
//! | file | what is shown |
//! |---|---|
//! | this one | whole hosts, notice, budgets, Drain, pods without a place, `enforce: false` |
//! | [`members`] | between the evictions of two members: a leader killed, a budget that turns tight |
//! | [`order`] | who goes first: loans, and lower priorities within a pool |
//! | [`clock`] | the real scheduler, stopped for longer than its time; the Job that hears of it |

mod clock;
mod members;
mod order;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Resource, ResourceExt as _};
use serde_json::{Value, json};

use crate::namespace::{PodOf, TestNamespace, condition, is_gated, pod, said};
use crate::world::World;

/// Evictions begin at once, and after two seconds above the entitlement.
pub(crate) const EAGER: &str = "cycle: {adoptionGrace: 0s, reclaimAfter: 2s, evictionRetry: 3s}\n\
                     lease: {duration: 3s, renewBefore: 1s}";

/// ```text
/// cluster        2 hosts × 4 cores
/// ├─ production  reserves 4
/// └─ research    borrows; this stands in its preemption
/// ```
pub(crate) async fn two_pools<'w>(world: &'w World, preemption: Value) -> TestNamespace<'w> {
    world.node("n1", json!({}), json!({ "cpu": "4" })).await;
    world.node("n2", json!({}), json!({ "cpu": "4" })).await;
    let ns = world.namespace("team").await;
    ns.pool_of("production", "4").await;
    ns.pool("research", json!({ "preemption": preemption })).await;
    ns
}

/// A preemptible pod of research that asks for this many cores.
pub(crate) fn research(name: &str, cores: &str) -> PodOf {
    pod(name).pool("research").preemptible().asks("cpu", cores).with("terminationGracePeriodSeconds", json!(0))
}

impl TestNamespace<'_> {
    /// Creates a pod of research, and lets it run on a node.
    pub(crate) async fn runs(&self, name: &str, node: &str, cores: &str) {
        self.create(research(name, cores)).await;
        self.bind(name, node).await;
    }

    /// Binds a pod once it is admitted, and says that it runs and is well.
    pub(crate) async fn bind(&self, name: &str, node: &str) {
        self.admitted(name).await;
        let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node } });
        let _: Value = self.pods().create_subresource("binding", name, &PostParams::default(), &binding).await.unwrap();
        let runs = json!({ "status": { "phase": "Running", "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{ "type": "Ready", "status": "True" }] } });
        self.pods().patch_status(name, &PatchParams::default(), &Patch::Strategic(runs)).await.unwrap();
    }

    /// Creates a pod of production that asks for this many cores.
    pub(crate) async fn claims(&self, name: &str, cores: &str) {
        self.create(pod(name).pool("production").asks("cpu", cores)).await;
    }

    /// A budget over the pods with this label, once the disruption controller allows so many evictions.
    pub(crate) async fn budget(&self, name: &str, label: &str, min_available: i32, expected: i32) {
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), &self.namespace);
        let budget = json!({ "metadata": { "name": name },
            "spec": { "minAvailable": min_available, "selector": { "matchLabels": { "app": label } } } });
        budgets.create(&PostParams::default(), &serde_json::from_value(budget).unwrap()).await.unwrap();
        let allows = move |budget: Option<&PodDisruptionBudget>| {
            budget.and_then(|budget| budget.status.as_ref()).is_some_and(|it| it.disruptions_allowed == Some(expected))
        };
        await_condition(budgets, name, allows).await.unwrap();
    }

    /// The names of the pods of research that are there.
    pub(crate) async fn staying(&self) -> BTreeSet<String> {
        let selected = self.pods().list(&ListParams::default().labels("weir.dev/pool=research")).await.unwrap();
        selected.iter().map(|pod| pod.name_any()).collect()
    }

    /// Waits until the reason stood on a pod before it went; the word and the sentence.
    pub(crate) async fn goes(&self, name: &str) -> (String, String) {
        self.until(&format!("the reason stands on {name} before it goes"), |record| {
            let said =
                record.past().filter(|pod| pod.name_any() == name).find_map(|pod| preempted(pod).filter(|it| it.0));
            said.map(|(_, reason, sentence)| (reason, sentence))
        })
        .await
    }

    /// Waits until somebody is told this, with status False.
    pub(crate) async fn somebody_stays(&self, word: &str, words: &str) {
        self.until(&format!("somebody hears {word}"), |record| {
            let told = |pod: &Pod| {
                preempted(pod).is_some_and(|(yes, reason, text)| !yes && reason == word && text.contains(words))
            };
            record.past().any(told).then_some(())
        })
        .await;
    }

    /// A report of the scheduler, renewed when this object was made: a sign of life.
    pub(crate) async fn scheduler_lives<K: Resource>(&self, at: &K) {
        let at = at.meta().creation_timestamp.clone();
        let text = json!({ "replica": "a", "renewedAt": at, "plugins": [] }).to_string();
        let report = json!({ "metadata": { "name": "weir-plugins-a", "labels": { "weir.dev/component": "plugins" } },
            "data": { "plugins.json": text } });
        let reports: Api<ConfigMap> = Api::namespaced(self.client.clone(), "weir-system");
        reports.create(&PostParams::default(), &serde_json::from_value(report).unwrap()).await.unwrap();
    }

    /// Waits until a condition of a gang says this.
    pub(crate) async fn gang_says(&self, gang: &str, condition: &str, reason: &str) {
        let key = (self.namespace.clone(), gang.to_owned());
        let says = |record: &crate::history::Record| {
            let conditions = &record.gangs.get(&key)?.status.as_ref()?.conditions;
            conditions.iter().any(|one| one.type_ == condition && one.reason == reason).then_some(())
        };
        self.until(&format!("gang {gang} says {condition} {reason}"), says).await;
    }

    /// Waits until a place is being made for a pod.
    pub(crate) async fn is_served(&self, name: &str) {
        let served = |pod: &Pod| condition(pod).is_some_and(|(_, reason, _)| reason == "WaitingForPreemption");
        self.until_pod(name, "its place is made", served).await;
    }
}

/// Status, reason and sentence of the condition that an eviction begins with.
pub(crate) fn preempted(pod: &Pod) -> Option<(bool, String, String)> {
    let found = said(pod, "weir.dev/Preempted")?;
    Some((found.status == "True", found.reason.clone()?, found.message.clone()?))
}

pub(crate) fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimant_gets_one_whole_host_from_a_pool_above_its_entitlement_and_then_evictions_end() {
    let world = World::private(EAGER).await;
    let ns = two_pools(&world, json!({})).await;
    for (name, node) in [("r1", "n1"), ("r2", "n1"), ("r3", "n2"), ("r4", "n2")] {
        ns.runs(name, node, "2").await;
    }
    ns.claims("prod", "4").await;
    ns.admitted("prod").await;
    let left = ns.staying().await;
    let (first, second) = (names(["r1", "r2"]), names(["r3", "r4"]));
    assert!(left == first || left == second, "one whole host, not one pod of each: {left:?}");
    for name in first.union(&second).filter(|name| !left.contains(*name)) {
        let (reason, sentence) = ns.goes(name).await;
        assert_eq!(reason, "Reclaimed");
        let expected = "pool \"research\" uses 8000 cpu and is entitled to 4000; the room goes to pod team/prod";
        assert!(sentence.starts_with(expected), "{sentence}");
    }
    // The same demand again is above what production is entitled to: nobody goes for it.
    ns.claims("more", "4").await;
    ns.until_pod("more", "it waits for its own pool", |pod| condition(pod).is_some()).await;
    assert_eq!(ns.staying().await, left);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_can_be_taken_back_and_a_leader_killed_between_reason_and_eviction_is_carried_on() {
    let world = World::private(EAGER).await;
    let ns = two_pools(&world, json!({ "notice": "6s" })).await;
    ns.runs("r1", "n1", "4").await;
    ns.runs("r2", "n2", "4").await;
    ns.claims("prod", "4").await;
    let given = |record: &crate::history::Record| record.past().any(|pod| preempted(pod).is_some()).then_some(());
    ns.until("somebody is given notice", given).await;
    ns.delete("prod").await;
    ns.somebody_stays("NotNeeded", "").await;
    assert_eq!(ns.staying().await.len(), 2);

    ns.claims("again", "4").await;
    ns.is_served("again").await;
    let first = |record: &crate::history::Record| Some(record.round.as_ref()?.spec.victims.first()?.name.clone());
    let recorded = ns.until("a victim is recorded", first).await;
    ns.until_pod(&recorded, "the reason stands on it", |pod| preempted(pod).is_some_and(|it| it.0)).await;
    world.kill_sidecar("a").await;
    assert_eq!(ns.staying().await.len(), 2, "killed before the eviction");
    world.run_sidecar("b", EAGER).await.unwrap();
    ns.admitted("again").await;
    let left = ns.staying().await;
    assert!(left.len() == 1 && !left.contains(&recorded), "{left:?} and not {recorded}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_hold_and_a_gang_goes_whole_or_not_at_all() {
    let world = World::private(EAGER).await;
    let ns = two_pools(&world, json!({})).await;
    // A gang that a budget keeps together on n1; on n2 one pod under two budgets and one under none.
    for name in ["g1", "g2"] {
        ns.create(research(name, "2").gang("train", "2").labelled("app", "train")).await;
    }
    ns.bind("g1", "n1").await;
    ns.bind("g2", "n1").await;
    ns.create(research("twice", "2").labelled("app", "twice")).await;
    ns.bind("twice", "n2").await;
    ns.runs("free", "n2", "2").await;
    ns.budget("train", "train", 1, 1).await;
    ns.budget("twice-a", "twice", 0, 1).await;
    ns.budget("twice-b", "twice", 0, 1).await;
    ns.claims("half", "2").await;
    ns.admitted("half").await;
    assert_eq!(ns.staying().await, names(["g1", "g2", "twice"]));
    ns.bind("half", "n2").await;

    // Nobody is left whom all budgets allow to go.
    ns.claims("rest", "2").await;
    ns.until_pod("rest", "it waits", |pod| condition(pod).is_some()).await;
    // The budget changes, and now all of the gang may go.
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(ns.client.clone(), "team");
    let loose = Patch::Merge(json!({ "spec": { "minAvailable": 0 } }));
    budgets.patch("train", &PatchParams::default(), &loose).await.unwrap();
    ns.admitted("rest").await;
    // One of the two makes room enough; the other follows, because a gang goes whole.
    ns.gone("g1").await;
    ns.gone("g2").await;
    assert_eq!(ns.staying().await, names(["twice"]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_pool_and_pods_without_a_place_lose_theirs_and_owners_back_off() {
    let shorter = "cycle: {placementTimeout: 4s, schedulerPatience: 6s, backOffFirst: 20s, ";
    let world = World::private(&EAGER.replace("cycle: {", shorter)).await;
    let ns = two_pools(&world, json!({})).await;
    ns.runs("drained", "n1", "1").await;
    ns.change_pool("research", json!({ "state": "Drain" })).await;
    assert_eq!(ns.goes("drained").await.0, "Drained");

    // A gang that is admitted and finds no place, while the scheduler shows signs of life.
    let owners: Api<ConfigMap> = Api::namespaced(ns.client.clone(), "team");
    let owner = serde_json::from_value(json!({ "metadata": { "name": "owner" } })).unwrap();
    let owner = owners.create(&PostParams::default(), &owner).await.unwrap();
    ns.scheduler_lives(&owner).await;
    let member = |name: &str| pod(name).pool("production").gang("late", "2").owned_by(&owner);
    ns.create(member("l1").with("terminationGracePeriodSeconds", json!(0))).await;
    ns.create(member("l2").with("terminationGracePeriodSeconds", json!(0))).await;
    ns.bind("l1", "n1").await;
    let (word, sentence) = ns.goes("l2").await;
    assert_eq!(word, "PlacementTimeout");
    assert!(sentence.contains("1 of 2 placed"), "{sentence}");
    assert_eq!(ns.goes("l1").await.0, "PlacementTimeout", "it never ran whole, so it goes whole");
    ns.event("ConfigMap", "owner", "PlacementTimeout", "1 of 2 placed").await;
    let gone = |record: &crate::history::Record| {
        (!record.gangs.contains_key(&("team".to_owned(), "late".to_owned()))).then_some(())
    };
    ns.until("the gang is gone", gone).await;

    // Its controller makes them again at once; they wait longer than it takes to see why.
    ns.create(member("l3")).await;
    ns.create(member("l4")).await;
    let backs_off = |pod: &Pod| condition(pod).is_some_and(|(_, reason, _)| reason == "PlacementTimeout");
    let again = ns.until_pod("l3", "its owner backs off", backs_off).await;
    assert!(is_gated(&again));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enforcement_it_is_said_who_would_have_been_evicted_and_nobody_is() {
    let world = World::private(&format!("{EAGER}\nenforce: false")).await;
    let ns = two_pools(&world, json!({})).await;
    ns.runs("r1", "n1", "4").await;
    ns.runs("r2", "n2", "4").await;
    ns.claims("prod", "4").await;
    ns.admitted("prod").await;
    ns.somebody_stays("NotEnforced", "it would have been evicted: pool \"research\" uses 8000 cpu").await;
    assert_eq!(ns.staying().await.len(), 2);
    world.end().await;
}
