//! A gang of which some are gone and others are not: the leader is killed, or a budget turns tight, between the
//! evictions of two members.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt as _};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use weir_checker::is_evicted;

use super::{EAGER, preempted, research, two_pools};
use crate::history::Record;
use crate::namespace::{TestNamespace, grounds};
use crate::world::World;

/// So many that there is a middle to act in.
const MEMBERS: usize = 40;

fn member(at: usize) -> String {
    format!("m{at:02}")
}

fn members() -> impl Iterator<Item = String> {
    (0..MEMBERS).map(member)
}

impl TestNamespace<'_> {
    /// A gang that fills one host, each member under label `app: train` and as `shaped`; what runs on the other
    /// host may not go, so that a claimant of a whole host is a claimant of this one.
    async fn gang_fills_a_host(&self, shaped: fn(crate::namespace::PodOf) -> crate::namespace::PodOf) {
        self.create(research("other", "4").labelled("app", "other")).await;
        self.bind("other", "n2").await;
        self.budget("other", "other", 1, 0).await;
        for name in members() {
            self.create(shaped(self.member(&name))).await;
        }
        for name in members() {
            self.bind(&name, "n1").await;
        }
    }

    fn member(&self, name: &str) -> crate::namespace::PodOf {
        research(name, "100m").gang("train", &MEMBERS.to_string()).labelled("app", "train")
    }

    /// Returns as soon as the eviction of a first member is told.
    async fn first_is_evicted(&self) {
        let first = |record: &Record| record.past().any(is_evicted).then_some(());
        self.until("the first member is evicted", first).await;
    }

    /// The members that are there, and whether the eviction of each was taken, as the API server has it.
    async fn there(&self) -> Vec<(String, bool)> {
        let all = self.pods().list(&ListParams::default().labels("app=train")).await.unwrap();
        all.iter().map(|pod| (pod.name_any(), is_evicted(pod))).collect()
    }

    async fn budget_allows(&self, name: &str, min_available: usize, expected: i32) {
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), &self.namespace);
        let change = Patch::Merge(json!({ "spec": { "minAvailable": min_available } }));
        budgets.patch(name, &PatchParams::default(), &change).await.unwrap();
        let allows = move |budget: Option<&PodDisruptionBudget>| {
            let Some(budget) = budget else { return false };
            let seen = budget.status.as_ref().and_then(|status| status.observed_generation);
            seen == budget.metadata.generation
                && budget.status.as_ref().is_some_and(|status| status.disruptions_allowed == Some(expected))
        };
        await_condition(budgets, name, allows).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_between_the_evictions_of_two_members_evicts_nobody_twice_and_the_rest_follows() {
    let world = World::private(EAGER).await;
    let ns = two_pools(&world, json!({})).await;
    // Whoever was evicted stays to be seen, so that a second eviction would be one more that is taken.
    ns.gang_fills_a_host(|member| member.held()).await;
    ns.claims("prod", "4").await;
    ns.first_is_evicted().await;
    world.kill_sidecar("a").await;
    let stay = ns.there().await.iter().filter(|(_, evicted)| !evicted).count();
    assert!(stay > 0, "it was killed too late to show anything");
    println!("killed when {stay} of {MEMBERS} members had still to go");

    world.run_sidecar("b", EAGER).await.unwrap();
    let all = |record: &Record| {
        let evicted: BTreeSet<Option<String>> = record.past().filter(|pod| is_evicted(pod)).map(Pod::uid).collect();
        (evicted.len() == MEMBERS).then_some(())
    };
    ns.until("all members are evicted", all).await;
    ns.gang_says("train", "weir.dev/Preempted", "Reclaimed").await;
    for name in members() {
        ns.change(&name, json!({ "metadata": { "finalizers": null } })).await;
    }
    ns.admitted("prod").await;
    let taken = ["apiserver_request_total{", "subresource=\"eviction\"", "code=\"201\""];
    // What was under way when its leader was killed may be carried out and count as a request that was given up.
    let counted = world.api_server_counts(&taken).await;
    assert!(counted <= 40.0, "{counted} evictions of 40 members");
    assert_eq!(ns.staying().await, super::names(["other"]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_turns_tight_between_two_members_ends_the_plan_and_those_who_are_gone_rejoin_singly() {
    // The lease outlives the time for which the sidecar stands still here.
    let world = World::private("cycle: {adoptionGrace: 0s, reclaimAfter: 2s, evictionRetry: 4s}").await;
    let ns = two_pools(&world, json!({})).await;
    ns.gang_fills_a_host(|member| member).await;
    ns.budget("train", "train", 0, 40).await;
    ns.claims("prod", "4").await;
    ns.first_is_evicted().await;
    let sidecar = world.sidecar("a");
    let signal = |signal| {
        let id = Pid::from_raw(i32::try_from(sidecar.process().id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    };
    signal(Signal::STOP);
    ns.budget_allows("train", MEMBERS, 0).await;
    let left: BTreeSet<String> = ns.there().await.into_iter().map(|(name, _)| name).collect();
    let gone: Vec<String> = members().filter(|name| !left.contains(name)).collect();
    assert!(!gone.is_empty() && !left.is_empty(), "it stood still too late to show anything");
    println!("the budget turned tight when {} of {MEMBERS} members were gone", gone.len());
    signal(Signal::CONT);

    // Tried again for a while, one member is refused for good, and all the others need not go either.
    ns.somebody_stays("Refused", "it stays: Cannot evict pod as it would violate the pod's disruption budget").await;
    let set_back = |record: &Record| {
        let stays = |name: &String| {
            let pod = record.pods.get(&(ns.namespace.clone(), name.clone()));
            pod.and_then(preempted).is_some_and(|(yes, _, _)| !yes)
        };
        left.iter().all(stays).then_some(())
    };
    ns.until("the condition is set back on all who are left", set_back).await;
    // Whoever made the members makes those again that are gone.
    for name in &gone {
        ns.create(ns.member(name)).await;
        let back = ns.admitted(name).await;
        let record = back.annotations().get("weir.dev/decided-on").unwrap();
        assert!(record.contains("\"pods\":1,"), "{name} was admitted singly: {:?} {record}", grounds(&back));
        ns.bind(name, "n1").await;
    }
    // The claimant has not lost its claim to the room for good.
    ns.budget_allows("train", 0, 40).await;
    ns.admitted("prod").await;
    assert_eq!(ns.staying().await, super::names(["other"]));
    world.end().await;
}
