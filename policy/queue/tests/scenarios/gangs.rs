//! Gangs: all or none, replacements, and two that together are more than there is.

use std::sync::Arc;

use weir_queue::{Decision, Event, GangKey, Grounds, Membership, Phase, Record, Recorded, Uid};

use crate::cluster::*;

/// ```text
/// cluster   10 hosts × 10 GPUs = 100
/// ├─ a
/// └─ b
/// ```
fn two_equal_pools() -> Cluster {
    Cluster::new(vec![pool("a"), pool("b")], gpu_nodes(10, 10))
}

#[test]
fn two_gangs_of_64_on_100_gpus_run_one_after_the_other_and_neither_waits_for_ever() {
    let mut cluster = two_equal_pools();
    cluster.submit("left", job("a", asks(&[(GPU, 1)])).gang(64));
    cluster.submit("right", job("b", asks(&[(GPU, 1)])).gang(64));
    cluster.settle(1);
    assert_eq!([cluster.entitled("a", GPU), cluster.entitled("b", GPU)], [50, 50]);
    assert_eq!([cluster.running("left"), cluster.running("right")], [64, 0]);
    assert_eq!(cluster.grounds("left"), vec![Grounds::OnLoan; 64]);
    assert_eq!(
        cluster.why("right"),
        [
            "ExceedsEntitlement: asks for 64 nvidia.com/gpu; pool \"b\" is entitled to 50 as long as others ask for the rest"
        ]
    );
    cluster.settle(600);
    assert_eq!(cluster.evictions.len(), 0, "what is not within an entitlement takes nothing");
    cluster.finish("left");
    cluster.settle(1);
    assert_eq!(cluster.running("right"), 64);
}

#[test]
fn a_loan_is_the_first_to_go_when_an_entitled_pod_needs_the_room() {
    let mut cluster = two_equal_pools();
    cluster.submit("own", job("a", asks(&[(GPU, 10)])));
    cluster.submit("base", job("b", asks(&[(GPU, 10)])).times(2));
    cluster.settle(1);
    // a uses 10 and b 20, so a is the first to be lent what is left.
    cluster.submit("lent", job("a", asks(&[(GPU, 1)])).gang(64).priority(9));
    cluster.submit("waits", job("b", asks(&[(GPU, 1)])).gang(64));
    cluster.settle(1);
    assert_eq!([cluster.running("own"), cluster.running("lent")], [1, 64]);
    cluster.submit("small", job("b", asks(&[(GPU, 10)])).times(3));
    cluster.settle(70);
    assert_eq!(cluster.running("small"), 3);
    assert_eq!(cluster.running("own"), 1, "priority 9 does not save a loan");
    assert_eq!(cluster.running("lent"), 0);
}

#[test]
fn an_incomplete_gang_moves_no_entitlement() {
    let mut cluster = two_equal_pools();
    cluster.submit("train", job("a", asks(&[(GPU, 1)])).times(100));
    cluster.settle(1);
    cluster.submit("gang", job("b", asks(&[(GPU, 5)])).gang(8));
    let last = cluster.jobs["gang"][7];
    let whole = cluster.pods[&last].clone();
    cluster.delete(last);
    cluster.settle(120);
    assert_eq!(cluster.entitled("a", GPU), 100);
    assert_eq!(cluster.evictions.len(), 0);
    assert_eq!(cluster.why("gang"), ["WaitingForGang: 7 of 8 members are there"]);

    cluster.change(whole);
    cluster.settle(1);
    assert_eq!([cluster.entitled("a", GPU), cluster.entitled("b", GPU)], [60, 40]);
    cluster.settle(70);
    assert_eq!([cluster.running("gang"), cluster.running("train")], [8, 60]);
}

#[test]
fn a_lost_member_is_replaced_alone_and_ahead_of_its_queue() {
    let mut cluster = two_equal_pools();
    cluster.submit("gang", job("a", asks(&[(GPU, 5)])).gang(20));
    cluster.settle(1);
    cluster.submit("urgent", job("a", asks(&[(GPU, 5)])).priority(100));
    cluster.settle(1);
    let lost = cluster.jobs["gang"][0];
    let mut again = cluster.pods[&lost].clone();
    cluster.delete(lost);
    (again.uid, again.created, again.phase) = (Uid::new(7_000), cluster.now, Phase::Waiting);
    cluster.jobs.get_mut("gang").unwrap()[0] = again.uid;
    cluster.change(again);
    cluster.settle(1);
    assert_eq!([cluster.running("gang"), cluster.running("urgent")], [20, 0]);
    assert_eq!(cluster.queue.grounds(Uid::new(7_000)), Some(Grounds::Replacement));
}

#[test]
fn members_that_disagree_say_about_what() {
    let mut cluster = two_equal_pools();
    cluster.submit("gang", job("a", asks(&[(GPU, 1)])).gang(2));
    let mut odd = cluster.pods[&cluster.jobs["gang"][1]].clone();
    odd.priority = 3;
    cluster.change(odd);
    cluster.settle(1);
    assert_eq!(cluster.why("gang"), ["Misconfigured: the members of the gang disagree about the priority"]);
    assert_eq!(cluster.running("gang"), 0);
}

#[test]
fn a_gang_that_its_owner_can_never_have_at_once_says_so() {
    let mut cluster = two_equal_pools();
    cluster.submit("gang", job("a", asks(&[(GPU, 1)])).gang(4));
    for uid in cluster.jobs["gang"].clone() {
        let mut pod = cluster.pods[&uid].clone();
        pod.gang = pod.gang.map(|membership| Membership { at_most: Some(3), ..membership });
        cluster.change(pod);
    }
    cluster.settle(1);
    assert_eq!(
        cluster.why("gang"),
        ["Misconfigured: the gang announces 4 members, but its owner never has more than 3 pods at once"]
    );
}

#[test]
fn more_members_than_announced_are_not_admitted_in_part() {
    let mut cluster = two_equal_pools();
    cluster.submit("gang", job("a", asks(&[(GPU, 1)])).gang(2));
    let mut third = cluster.pods[&cluster.jobs["gang"][0]].clone();
    third.uid = Uid::new(7_001);
    cluster.jobs.get_mut("gang").unwrap().push(third.uid);
    cluster.change(third);
    cluster.settle(1);
    assert_eq!(cluster.running("gang"), 0);
    assert_eq!(
        cluster.why("gang"),
        ["Misconfigured: 3 pods say that they belong to a gang of 2; delete what is too many"]
    );
}

#[test]
fn gangs_of_one_name_with_two_owners_are_two_gangs() {
    let mut cluster = two_equal_pools();
    cluster.submit("one", job("a", asks(&[(GPU, 1)])).gang(2));
    cluster.submit("other", job("a", asks(&[(GPU, 1)])).gang(2));
    for uid in cluster.jobs["other"].clone() {
        let mut pod = cluster.pods[&uid].clone();
        let key = GangKey { namespace: "default".into(), name: "one".into(), owner: Some(Uid::new(9)) };
        pod.gang = Some(Membership { gang: Arc::new(key), size: 2, at_most: None, part: None });
        cluster.change(pod);
    }
    cluster.settle(1);
    assert_eq!([cluster.running("one"), cluster.running("other")], [2, 2]);
}

#[test]
fn an_intent_is_dropped_when_a_member_is_gone_before_any_gate_was_removed() {
    let mut cluster = two_equal_pools();
    cluster.submit("gang", job("a", asks(&[(GPU, 1)])).gang(3));
    let events = std::mem::take(&mut cluster.events);
    let decided = cluster.queue.step(cluster.now, events);
    assert!(matches!(&decided[..], [Decision::Admit(admission)] if admission.pods.len() == 3));
    let gone = cluster.jobs["gang"][1];
    let dropped = cluster.queue.step(cluster.now, [Event::PodGone(gone)]);
    let Some(Decision::Void(uids)) = dropped.first() else { panic!("{dropped:?}") };
    assert_eq!(uids.len(), 3);
    assert_eq!(cluster.used("a", GPU), 0);
}

#[test]
fn a_new_leader_counts_what_is_recorded_and_admits_no_pod_twice() {
    let mut cluster = two_equal_pools();
    cluster.submit("gang", job("a", asks(&[(GPU, 1)])).gang(3));
    let uids = cluster.jobs["gang"].clone();
    let recorded = |&uid: &Uid| Recorded { uid, node: Some("gpu-000".into()), grounds: Grounds::WithinEntitlement };
    let record = Record { admitted: uids.iter().map(recorded).collect(), ..Record::default() };
    let mut events = std::mem::take(&mut cluster.events);
    events.push(Event::Restored(record));
    let decisions = cluster.queue.step(cluster.now, events);
    assert_eq!(decisions, []);
    assert_eq!(cluster.used("a", GPU), 3);
}

#[test]
fn a_round_that_could_not_be_recorded_is_void_and_decided_again() {
    let mut cluster = two_equal_pools();
    cluster.submit("gang", job("a", asks(&[(GPU, 1)])).gang(3));
    let events = std::mem::take(&mut cluster.events);
    let decided = cluster.queue.step(cluster.now, events);
    let Some(Decision::Admit(admission)) = decided.first() else { panic!("{decided:?}") };
    let again = cluster.queue.step(cluster.now, [Event::RoundLost(admission.round)]);
    assert!(
        matches!(&again[..], [Decision::Admit(second)] if second.pods.len() == 3 && second.round > admission.round)
    );
}

#[test]
fn the_last_pod_of_a_job_that_is_tried_again_does_not_wait_for_those_that_succeeded() {
    let mut cluster = two_equal_pools();
    cluster.submit("job", job("a", asks(&[(GPU, 1)])).gang(3));
    cluster.settle(1);
    let uids = cluster.jobs["job"].clone();
    let mut again = cluster.pods[&uids[2]].clone();
    uids.iter().for_each(|&uid| cluster.delete(uid));
    cluster.settle(1);
    (again.uid, again.phase) = (Uid::new(7_002), Phase::Waiting);
    cluster.change(again);
    cluster.settle(1);
    assert_eq!(cluster.queue.grounds(Uid::new(7_002)), Some(Grounds::Replacement));
}
