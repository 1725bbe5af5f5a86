//! Mistakes of gangs. A gang that something is wrong with waits as a whole, and so does nobody else.

use kube::api::PostParams;
use serde_json::json;

use crate::chronicle::Record;
use crate::row::{Row, is_admitted, pod};
use crate::world::World;

/// Created, admitted and announced members, as the Gang object shows them.
fn shown(record: &Record, namespace: &str, gang: &str) -> Option<(i32, i32, i32)> {
    let gang = record.gangs.get(&(namespace.to_owned(), gang.to_owned()))?;
    let status = gang.status.clone().unwrap_or_default();
    Some((status.created, status.admitted, gang.spec.size))
}

async fn until_shown(row: &Row<'_>, gang: &str, expected: (i32, i32, i32)) {
    let what = format!("Gang {gang} shows {expected:?}");
    row.until(&what, |record| (shown(record, &row.namespace, gang) == Some(expected)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gang_sizes_that_disagree_are_named_on_every_member() {
    for (namespace, sizes) in [("sizes-up", ["2", "3"]), ("sizes-down", ["3", "2"])] {
        let row = World::shared().row(namespace).await;
        row.pool_of(namespace, "4").await;
        for (member, size) in ["a", "b"].into_iter().zip(sizes) {
            row.create(pod(member).pool(namespace).gang("g", size)).await;
        }
        for member in ["a", "b"] {
            row.waits(member, "Misconfigured", "the members of the gang disagree about its size").await;
        }
        row.rest_goes_on().await;
        let wrong = if sizes[0] == "3" { "a" } else { "b" };
        row.annotate(wrong, "number-gang-members", json!("2")).await;
        for member in ["a", "b"] {
            row.admitted(member).await;
        }
        until_shown(&row, "g", (2, 2, 2)).await;
        row.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gang_sizes_that_are_no_numbers_are_named() {
    let row = World::shared().row("no-number").await;
    row.pool_of("no-number", "4").await;
    for (member, size) in [("word", "many"), ("zero", "0"), ("fraction", "1.5")] {
        row.create(pod(member).pool("no-number").gang(member, size)).await;
        row.waits(member, "Misconfigured", &format!("\"{size}\" is not a whole number of at least 1")).await;
    }
    row.rest_goes_on().await;
    for member in ["word", "zero", "fraction"] {
        row.annotate(member, "number-gang-members", json!("1")).await;
        row.admitted(member).await;
    }
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_members_than_announced_wait_until_what_is_too_many_is_gone() {
    let row = World::shared().row("too-many").await;
    let spec = |state: &str| json!({ "state": state, "resources": [{ "name": "cpu", "reservation": "8" }] });
    row.pool("too-many", spec("Hold")).await;
    for member in ["a", "b", "c"] {
        row.create(pod(member).pool("too-many").gang("g", "2")).await;
    }
    for member in ["a", "b", "c"] {
        row.waits(member, "Misconfigured", "3 pods say that they belong to a gang of 2; delete what is too many").await;
    }
    row.rest_goes_on().await;
    row.delete("c").await;
    row.change_pool("too-many", spec("Active")).await;
    row.admitted("a").await;
    row.admitted("b").await;
    // One that comes when all are admitted is no part of it either.
    row.create(pod("late").pool("too-many").gang("g", "2")).await;
    row.waits("late", "Misconfigured", "announces 2 members and all of them are there").await;
    until_shown(&row, "g", (3, 2, 2)).await;
    // With a member gone it is its replacement.
    row.delete("a").await;
    let late = row.admitted("late").await;
    assert_eq!(crate::row::grounds(&late), Some("Replacement"));
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_deleted_while_waiting_is_waited_for_and_nobody_goes_before() {
    let row = World::shared().row("deserter").await;
    let spec = |state: &str| json!({ "state": state, "resources": [{ "name": "cpu", "reservation": "8" }] });
    row.pool("deserter", spec("Hold")).await;
    for member in ["a", "b", "c"] {
        row.create(pod(member).pool("deserter").gang("g", "3")).await;
    }
    for member in ["a", "b", "c"] {
        row.waits(member, "PoolHeld", "takes nothing new (spec.state)").await;
    }
    row.delete("b").await;
    for member in ["a", "c"] {
        row.waits(member, "WaitingForGang", "2 of 3 members are there").await;
    }
    until_shown(&row, "g", (2, 0, 3)).await;
    row.change_pool("deserter", spec("Active")).await;
    row.rest_goes_on().await;
    let early = row.world.chronicle.now(|record| {
        let past = record.past().filter(|pod| pod.metadata.namespace.as_deref() == Some("deserter"));
        past.filter(|pod| is_admitted(pod)).filter_map(|pod| pod.metadata.name.clone()).collect::<Vec<_>>()
    });
    assert!(early.iter().all(|name| name == "fine"), "{early:?}");
    row.create(pod("b").pool("deserter").gang("g", "3")).await;
    for member in ["a", "b", "c"] {
        row.admitted(member).await;
    }
    until_shown(&row, "g", (3, 3, 3)).await;
    row.end().await;
}

/// Binds an admitted pod to a node, as a scheduler does.
async fn place(row: &Row<'_>, name: &str, node: &str) {
    let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
        "target": { "apiVersion": "v1", "kind": "Node", "name": node } });
    let _: serde_json::Value =
        row.pods().create_subresource("binding", name, &PostParams::default(), &binding).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gang_shows_how_many_are_created_admitted_and_placed_and_why_it_waits() {
    let row = World::shared().row("progress").await;
    let spec = |state: &str| json!({ "state": state, "resources": [{ "name": "cpu", "reservation": "8" }] });
    row.pool("progress", spec("Hold")).await;
    let shows = async |created: i32, admitted: i32, placed: i32, reason: &str, words: &str| {
        let what = format!("the gang shows {created} created, {admitted} admitted, {placed} placed, {reason}: {words}");
        let find = |record: &Record| {
            let gang = record.gangs.get(&("progress".to_owned(), "g".to_owned()))?;
            let status = gang.status.clone()?;
            let says = status.conditions.iter().find(|one| one.type_ == "weir.dev/Admitted")?;
            let counts = [status.created, status.admitted, status.placed] == [created, admitted, placed];
            (counts && gang.spec.size == 3 && says.reason == reason && says.message.contains(words)).then_some(())
        };
        row.until(&what, find).await;
    };
    row.create(pod("a").pool("progress").gang("g", "3")).await;
    row.create(pod("b").pool("progress").gang("g", "3")).await;
    shows(2, 0, 0, "WaitingForGang", "2 of 3 members are there").await;
    row.create(pod("c").pool("progress").gang("g", "3")).await;
    shows(3, 0, 0, "PoolHeld", "takes nothing new").await;
    row.change_pool("progress", spec("Active")).await;
    shows(3, 3, 0, "WithinEntitlement", "progress used 0 cpu, 3 came on top").await;
    place(&row, "a", "cpu").await;
    place(&row, "b", "cpu").await;
    shows(3, 3, 2, "WithinEntitlement", "progress used 0 cpu, 3 came on top").await;
    let decided = row.world.chronicle.now(|record| {
        record.gangs[&("progress".to_owned(), "g".to_owned())].status.clone().unwrap().decided_on.unwrap()
    });
    assert!(decided.epoch > 0 && decided.resources.iter().any(|one| one.name == "cpu" && one.requested.0 == "3"));
    row.end().await;
}
