//! Mistakes of gangs. A gang with a mistake waits as a whole, and nothing else waits for it.

use anyhow::{Context as _, Result};
use serde_json::json;
use weir_tests::history::View;
use weir_tests::namespace::TestNamespace;
use weir_tests::objects::{grounds, is_admitted, pod};
use weir_tests::world::shared;

/// Created, admitted and announced members, as the Gang object shows them.
fn shown(seen: View<'_>, gang: &str) -> Option<(i32, i32, i32)> {
    let gang = seen.gang(gang)?;
    let status = gang.status.clone().unwrap_or_default();
    Some((status.created, status.admitted, gang.spec.size))
}

async fn until_shown(ns: &TestNamespace, gang: &str, expected: (i32, i32, i32)) -> Result<()> {
    let what = format!("Gang {gang} shows {expected:?}");
    ns.until(&what, |seen| (shown(seen, gang) == Some(expected)).then_some(())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn gang_sizes_that_disagree_are_named_on_every_member() -> Result<()> {
    for (namespace, sizes) in [("sizes-up", ["2", "3"]), ("sizes-down", ["3", "2"])] {
        let ns = shared::admitting()?.namespace(namespace).await?;
        ns.create_pool_of(namespace, "4").await?;
        for (member, size) in ["a", "b"].into_iter().zip(sizes) {
            ns.create_pod(&pod(member).pool(namespace).gang("g", size)).await?;
        }
        for member in ["a", "b"] {
            ns.until_waiting(member, "Misconfigured", "the members of the gang disagree about its size").await?;
        }
        ns.rest_goes_on().await?;
        let wrong = if sizes[0] == "3" { "a" } else { "b" };
        ns.annotate_pod(wrong, "number-gang-members", json!("2")).await?;
        for member in ["a", "b"] {
            ns.until_admitted(member).await?;
        }
        until_shown(&ns, "g", (2, 2, 2)).await?;
        ns.judge().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn gang_sizes_that_are_no_numbers_are_named() -> Result<()> {
    let ns = shared::admitting()?.namespace("no-number").await?;
    ns.create_pool_of("no-number", "4").await?;
    for (member, size) in [("word", "many"), ("zero", "0"), ("fraction", "1.5")] {
        ns.create_pod(&pod(member).pool("no-number").gang(member, size)).await?;
        ns.until_waiting(member, "Misconfigured", &format!("\"{size}\" is not a whole number of at least 1")).await?;
    }
    ns.rest_goes_on().await?;
    for member in ["word", "zero", "fraction"] {
        ns.annotate_pod(member, "number-gang-members", json!("1")).await?;
        ns.until_admitted(member).await?;
    }
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn more_members_than_announced_wait_until_what_is_too_many_is_gone() -> Result<()> {
    let ns = shared::admitting()?.namespace("too-many").await?;
    let spec = |state: &str| json!({ "state": state, "resources": [{ "name": "cpu", "reservation": "8" }] });
    ns.create_pool("too-many", spec("Hold")).await?;
    for member in ["a", "b", "c"] {
        ns.create_pod(&pod(member).pool("too-many").gang("g", "2")).await?;
    }
    for member in ["a", "b", "c"] {
        ns.until_waiting(
            member,
            "Misconfigured",
            "3 pods say that they belong to a gang of 2; delete what is too many",
        )
        .await?;
    }
    ns.rest_goes_on().await?;
    ns.delete_pod("c").await?;
    ns.change_pool("too-many", spec("Active")).await?;
    ns.until_admitted("a").await?;
    ns.until_admitted("b").await?;
    // One that comes when all are admitted is no part of it either.
    ns.create_pod(&pod("late").pool("too-many").gang("g", "2")).await?;
    ns.until_waiting("late", "Misconfigured", "announces 2 members and all of them are there").await?;
    until_shown(&ns, "g", (3, 2, 2)).await?;
    // With a member gone it is its replacement.
    ns.delete_pod("a").await?;
    let late = ns.until_admitted("late").await?;
    assert_eq!(grounds(&late), Some("Replacement"));
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_deleted_while_waiting_is_waited_for_and_nobody_goes_before() -> Result<()> {
    let ns = shared::admitting()?.namespace("deserter").await?;
    let spec = |state: &str| json!({ "state": state, "resources": [{ "name": "cpu", "reservation": "8" }] });
    ns.create_pool("deserter", spec("Hold")).await?;
    for member in ["a", "b", "c"] {
        ns.create_pod(&pod(member).pool("deserter").gang("g", "3")).await?;
    }
    for member in ["a", "b", "c"] {
        ns.until_waiting(member, "PoolHeld", "takes nothing new (spec.state)").await?;
    }
    ns.delete_pod("b").await?;
    for member in ["a", "c"] {
        ns.until_waiting(member, "WaitingForGang", "2 of 3 members are there").await?;
    }
    until_shown(&ns, "g", (2, 0, 3)).await?;
    ns.change_pool("deserter", spec("Active")).await?;
    ns.rest_goes_on().await?;
    let early: Vec<_> =
        ns.now(|seen| seen.past().filter(|pod| is_admitted(pod)).filter_map(|pod| pod.metadata.name.clone()).collect());
    assert!(early.iter().all(|name| name == "fine"), "{early:?}");
    ns.create_pod(&pod("b").pool("deserter").gang("g", "3")).await?;
    for member in ["a", "b", "c"] {
        ns.until_admitted(member).await?;
    }
    until_shown(&ns, "g", (3, 3, 3)).await?;
    ns.judge().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gang_shows_how_many_are_created_admitted_and_placed_and_why_it_waits() -> Result<()> {
    let ns = shared::admitting()?.namespace("progress").await?;
    let spec = |state: &str| json!({ "state": state, "resources": [{ "name": "cpu", "reservation": "8" }] });
    ns.create_pool("progress", spec("Hold")).await?;
    let shows = async |created: i32, admitted: i32, placed: i32, reason: &str, words: &str| {
        let what = format!("the gang shows {created} created, {admitted} admitted, {placed} placed, {reason}: {words}");
        let find = |seen: View<'_>| {
            let gang = seen.gang("g")?;
            let status = gang.status.as_ref()?;
            let says = status.conditions.iter().find(|one| one.type_ == "weir.dev/Admitted")?;
            let counts = [status.created, status.admitted, status.placed] == [created, admitted, placed];
            (counts && gang.spec.size == 3 && says.reason == reason && says.message.contains(words)).then_some(())
        };
        ns.until(&what, find).await
    };
    ns.create_pod(&pod("a").pool("progress").gang("g", "3")).await?;
    ns.create_pod(&pod("b").pool("progress").gang("g", "3")).await?;
    shows(2, 0, 0, "WaitingForGang", "2 of 3 members are there").await?;
    ns.create_pod(&pod("c").pool("progress").gang("g", "3")).await?;
    shows(3, 0, 0, "PoolHeld", "takes nothing new").await?;
    ns.change_pool("progress", spec("Active")).await?;
    shows(3, 3, 0, "WithinEntitlement", "progress used 0 cpu, 3 came on top").await?;
    ns.place("a", "cpu").await?;
    ns.place("b", "cpu").await?;
    shows(3, 3, 2, "WithinEntitlement", "progress used 0 cpu, 3 came on top").await?;
    let decided =
        ns.now(|seen| seen.gang("g")?.status.as_ref()?.decided_on.clone()).context("what it is decided on")?;
    assert!(decided.epoch > 0 && decided.resources.iter().any(|one| one.name == "cpu" && one.requested.0 == "3"));
    ns.judge().await
}
