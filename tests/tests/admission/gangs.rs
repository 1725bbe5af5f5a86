//! Mistakes of gangs. A gang that something is wrong with waits as a whole, and so does nobody else.

use kube::api::PostParams;
use serde_json::json;

use crate::history::Record;
use crate::namespace::{TestNamespace, is_admitted, pod};
use crate::world::World;

/// Created, admitted and announced members, as the Gang object shows them.
fn shown(record: &Record, namespace: &str, gang: &str) -> Option<(i32, i32, i32)> {
    let gang = record.gangs.get(&(namespace.to_owned(), gang.to_owned()))?;
    let status = gang.status.clone().unwrap_or_default();
    Some((status.created, status.admitted, gang.spec.size))
}

async fn until_shown(ns: &TestNamespace<'_>, gang: &str, expected: (i32, i32, i32)) {
    let what = format!("Gang {gang} shows {expected:?}");
    ns.until(&what, |record| (shown(record, &ns.namespace, gang) == Some(expected)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gang_sizes_that_disagree_are_named_on_every_member() {
    for (namespace, sizes) in [("sizes-up", ["2", "3"]), ("sizes-down", ["3", "2"])] {
        let ns = World::shared().namespace(namespace).await;
        ns.pool_of(namespace, "4").await;
        for (member, size) in ["a", "b"].into_iter().zip(sizes) {
            ns.create(pod(member).pool(namespace).gang("g", size)).await;
        }
        for member in ["a", "b"] {
            ns.waits(member, "Misconfigured", "the members of the gang disagree about its size").await;
        }
        ns.rest_goes_on().await;
        let wrong = if sizes[0] == "3" { "a" } else { "b" };
        ns.annotate(wrong, "number-gang-members", json!("2")).await;
        for member in ["a", "b"] {
            ns.admitted(member).await;
        }
        until_shown(&ns, "g", (2, 2, 2)).await;
        ns.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gang_sizes_that_are_no_numbers_are_named() {
    let ns = World::shared().namespace("no-number").await;
    ns.pool_of("no-number", "4").await;
    for (member, size) in [("word", "many"), ("zero", "0"), ("fraction", "1.5")] {
        ns.create(pod(member).pool("no-number").gang(member, size)).await;
        ns.waits(member, "Misconfigured", &format!("\"{size}\" is not a whole number of at least 1")).await;
    }
    ns.rest_goes_on().await;
    for member in ["word", "zero", "fraction"] {
        ns.annotate(member, "number-gang-members", json!("1")).await;
        ns.admitted(member).await;
    }
    ns.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_members_than_announced_wait_until_what_is_too_many_is_gone() {
    let ns = World::shared().namespace("too-many").await;
    let spec = |state: &str| json!({ "state": state, "resources": [{ "name": "cpu", "reservation": "8" }] });
    ns.pool("too-many", spec("Hold")).await;
    for member in ["a", "b", "c"] {
        ns.create(pod(member).pool("too-many").gang("g", "2")).await;
    }
    for member in ["a", "b", "c"] {
        ns.waits(member, "Misconfigured", "3 pods say that they belong to a gang of 2; delete what is too many").await;
    }
    ns.rest_goes_on().await;
    ns.delete("c").await;
    ns.change_pool("too-many", spec("Active")).await;
    ns.admitted("a").await;
    ns.admitted("b").await;
    // One that comes when all are admitted is no part of it either.
    ns.create(pod("late").pool("too-many").gang("g", "2")).await;
    ns.waits("late", "Misconfigured", "announces 2 members and all of them are there").await;
    until_shown(&ns, "g", (3, 2, 2)).await;
    // With a member gone it is its replacement.
    ns.delete("a").await;
    let late = ns.admitted("late").await;
    assert_eq!(crate::namespace::grounds(&late), Some("Replacement"));
    ns.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_deleted_while_waiting_is_waited_for_and_nobody_goes_before() {
    let ns = World::shared().namespace("deserter").await;
    let spec = |state: &str| json!({ "state": state, "resources": [{ "name": "cpu", "reservation": "8" }] });
    ns.pool("deserter", spec("Hold")).await;
    for member in ["a", "b", "c"] {
        ns.create(pod(member).pool("deserter").gang("g", "3")).await;
    }
    for member in ["a", "b", "c"] {
        ns.waits(member, "PoolHeld", "takes nothing new (spec.state)").await;
    }
    ns.delete("b").await;
    for member in ["a", "c"] {
        ns.waits(member, "WaitingForGang", "2 of 3 members are there").await;
    }
    until_shown(&ns, "g", (2, 0, 3)).await;
    ns.change_pool("deserter", spec("Active")).await;
    ns.rest_goes_on().await;
    let early = ns.world.history.now(|record| {
        let past = record.past().filter(|pod| pod.metadata.namespace.as_deref() == Some("deserter"));
        past.filter(|pod| is_admitted(pod)).filter_map(|pod| pod.metadata.name.clone()).collect::<Vec<_>>()
    });
    assert!(early.iter().all(|name| name == "fine"), "{early:?}");
    ns.create(pod("b").pool("deserter").gang("g", "3")).await;
    for member in ["a", "b", "c"] {
        ns.admitted(member).await;
    }
    until_shown(&ns, "g", (3, 3, 3)).await;
    ns.end().await;
}

/// Binds an admitted pod to a node, as a scheduler does.
async fn place(ns: &TestNamespace<'_>, name: &str, node: &str) {
    let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
        "target": { "apiVersion": "v1", "kind": "Node", "name": node } });
    let _: serde_json::Value =
        ns.pods().create_subresource("binding", name, &PostParams::default(), &binding).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gang_shows_how_many_are_created_admitted_and_placed_and_why_it_waits() {
    let ns = World::shared().namespace("progress").await;
    let spec = |state: &str| json!({ "state": state, "resources": [{ "name": "cpu", "reservation": "8" }] });
    ns.pool("progress", spec("Hold")).await;
    let shows = async |created: i32, admitted: i32, placed: i32, reason: &str, words: &str| {
        let what = format!("the gang shows {created} created, {admitted} admitted, {placed} placed, {reason}: {words}");
        let find = |record: &Record| {
            let gang = record.gangs.get(&("progress".to_owned(), "g".to_owned()))?;
            let status = gang.status.clone()?;
            let says = status.conditions.iter().find(|one| one.type_ == "weir.dev/Admitted")?;
            let counts = [status.created, status.admitted, status.placed] == [created, admitted, placed];
            (counts && gang.spec.size == 3 && says.reason == reason && says.message.contains(words)).then_some(())
        };
        ns.until(&what, find).await;
    };
    ns.create(pod("a").pool("progress").gang("g", "3")).await;
    ns.create(pod("b").pool("progress").gang("g", "3")).await;
    shows(2, 0, 0, "WaitingForGang", "2 of 3 members are there").await;
    ns.create(pod("c").pool("progress").gang("g", "3")).await;
    shows(3, 0, 0, "PoolHeld", "takes nothing new").await;
    ns.change_pool("progress", spec("Active")).await;
    shows(3, 3, 0, "WithinEntitlement", "progress used 0 cpu, 3 came on top").await;
    place(&ns, "a", "cpu").await;
    place(&ns, "b", "cpu").await;
    shows(3, 3, 2, "WithinEntitlement", "progress used 0 cpu, 3 came on top").await;
    let decided = ns.world.history.now(|record| {
        record.gangs[&("progress".to_owned(), "g".to_owned())].status.clone().unwrap().decided_on.unwrap()
    });
    assert!(decided.epoch > 0 && decided.resources.iter().any(|one| one.name == "cpu" && one.requested.0 == "3"));
    ns.end().await;
}
