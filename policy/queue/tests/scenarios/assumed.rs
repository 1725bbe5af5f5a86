//! Pods that were admitted and are not bound hold room somewhere, and where they are assumed keeps no other pod
//! waiting (B6).

use weir_queue::{Decision, Phase, PodShape};

use crate::cluster::*;

/// Asks for so many cores, on the small node alone if it has to be that one.
fn cores(count: i64, only: Option<&str>) -> PodShape {
    let mut shape = asks(&[("cpu", count * 1000)]);
    shape.node_selector.extend(only.map(|disk| ("disk".to_owned(), disk.to_owned())));
    shape
}

/// ```text
/// small   4 cores, the only fast disk
/// large  16 cores
/// ```
fn two_nodes() -> Cluster {
    let mut small = node("small", &[("cpu", 4000)]);
    small.labels.insert("disk".into(), "fast".into());
    Cluster::new(vec![pool("a")], vec![small, node("large", &[("cpu", 16_000)])])
}

/// Admits what was submitted, and lets the scheduler take its time with it.
fn admit_unbound(cluster: &mut Cluster, name: &str) {
    cluster.step();
    let uids = cluster.jobs[name].clone();
    for uid in uids {
        let mut pod = cluster.pods[&uid].clone();
        if let Phase::Admitted(admitted) = &mut pod.phase {
            admitted.node = None;
        }
        cluster.change(pod);
    }
}

/// The nodes on which the last step assumed a job.
fn assumed_on(cluster: &Cluster, name: &str) -> Vec<String> {
    let admissions = cluster.decisions.iter().filter_map(|decision| match decision {
        Decision::Admit(admission) => Some(&admission.pods),
        _ => None,
    });
    let nodes = admissions.flatten().filter(|(uid, _)| cluster.jobs[name].contains(uid));
    nodes.filter_map(|(_, node)| node.as_ref().map(ToString::to_string)).collect()
}

#[test]
fn a_pod_that_is_not_bound_does_not_keep_the_only_node_of_another() {
    let mut cluster = two_nodes();
    cluster.submit("anywhere", job("a", cores(3, None)));
    admit_unbound(&mut cluster, "anywhere");
    assert_eq!(cluster.running("anywhere"), 1);
    cluster.submit("picky", job("a", cores(4, Some("fast"))));
    cluster.step();
    assert_eq!(
        cluster.why("picky"),
        ["WaitingForPlacement: 0 of 1 fit on what is free now"],
        "it is about to be bound"
    );
    cluster.now = cluster.now.after(std::time::Duration::from_secs(10));
    cluster.step();
    assert_eq!(assumed_on(&cluster, "picky"), ["small"]);
    // What is left for others is counted as if the first were on the large node.
    cluster.submit("rest", job("a", cores(13, None)));
    cluster.step();
    assert_eq!(assumed_on(&cluster, "rest"), ["large"]);
}

#[test]
fn a_pod_that_is_bound_keeps_its_node() {
    let mut cluster = two_nodes();
    cluster.submit("bound", job("a", cores(3, Some("fast"))));
    cluster.settle(0);
    cluster.submit("picky", job("a", cores(4, Some("fast"))));
    cluster.settle(60);
    assert_eq!([cluster.running("bound"), cluster.running("picky")], [1, 0]);
}

#[test]
fn no_pod_is_admitted_onto_room_that_the_others_need_wherever_they_go() {
    let mut cluster = two_nodes();
    cluster.submit("many", job("a", cores(3, None)).times(6));
    admit_unbound(&mut cluster, "many");
    assert_eq!(cluster.running("many"), 6, "18 of 20 cores, one left on each node");
    cluster.submit("picky", job("a", cores(2, Some("fast"))));
    for _ in 0..60 {
        cluster.now = cluster.now.after(std::time::Duration::from_secs(1));
        cluster.step();
    }
    assert_eq!(cluster.running("picky"), 0);
}

#[test]
fn a_gang_finds_room_when_several_are_assumed_elsewhere() {
    let mut cluster = two_nodes();
    cluster.submit("anywhere", job("a", cores(1, None)).times(4));
    admit_unbound(&mut cluster, "anywhere");
    cluster.submit("gang", job("a", cores(2, Some("fast"))).gang(2));
    cluster.now = cluster.now.after(std::time::Duration::from_secs(10));
    cluster.step();
    assert_eq!(assumed_on(&cluster, "gang"), ["small", "small"]);
}

/// Lets the scheduler put a job's only pod on a node.
fn bind(cluster: &mut Cluster, name: &str, node: &str) {
    let mut pod = cluster.pods[&cluster.jobs[name][0]].clone();
    if let Phase::Admitted(admitted) = &mut pod.phase {
        admitted.node = Some(node.into());
    }
    cluster.change(pod);
}

/// ```text
/// one  4 cores, where the first was assumed
/// two  4 cores, where the second was, and where the first went
/// ```
#[test]
fn the_room_that_a_pod_left_to_another_is_not_given_away() {
    let nodes = ["one", "two"].map(|name| node(name, &[("cpu", 4000)]));
    let mut cluster = Cluster::new(vec![pool("a")], nodes.to_vec());
    cluster.submit("first", job("a", cores(3, None)));
    cluster.submit("second", job("a", cores(3, None)));
    admit_unbound(&mut cluster, "first");
    assert_eq!([assumed_on(&cluster, "first"), assumed_on(&cluster, "second")], [["one"], ["two"]]);
    admit_unbound(&mut cluster, "second");
    bind(&mut cluster, "first", "two");
    cluster.submit("third", job("a", cores(2, None)));
    cluster.step();
    assert_eq!(cluster.why("third"), ["WaitingForPlacement: 0 of 1 fit on what is free now"]);
}
