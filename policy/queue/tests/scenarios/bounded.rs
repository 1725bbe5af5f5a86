//! A pod costs what a pod costs (A2, G2): names that only pods ask for are no dimensions, and nothing of what is gone
//! stays.

use std::sync::Arc;

use weir_queue::{Event, PodShape, Uid};

use crate::cluster::*;

fn one_host() -> Cluster {
    Cluster::new(vec![pool("a")], gpu_nodes(1, 8))
}

#[test]
fn a_pod_that_asks_for_what_no_node_has_and_no_pool_lists_waits_as_unknown_resource() {
    let mut cluster = one_host();
    cluster.settle(1);
    let before = cluster.queue.dimensions().len();
    let invented: Vec<String> = (0..10_000).map(|at| format!("example.com/r{at}")).collect();
    let requests: Vec<(&str, i64)> = invented.iter().map(|name| (name.as_str(), 1)).chain([(GPU, 1)]).collect();
    cluster.submit("hostile", job("a", asks(&requests)));
    cluster.submit("other", job("a", asks(&[(GPU, 8)])));
    cluster.settle(1);
    assert_eq!(
        cluster.why("hostile"),
        ["UnknownResource: asks for \"example.com/r0\", which no node has and no pool lists"]
    );
    assert_eq!(cluster.running("other"), 1);
    assert!(cluster.queue.dimensions().len() <= before + 1, "GPUs became known, invented names did not");
}

#[test]
fn a_name_that_begins_to_exist_lets_the_pods_that_waited_for_it_go() {
    let mut cluster = one_host();
    cluster.submit("nics", job("a", asks(&[("example.com/nic", 1), ("cpu", 1000)])).times(3));
    cluster.settle(1);
    assert_eq!(cluster.running("nics"), 0);
    cluster.events.push(Event::Node(node("new", &[("example.com/nic", 2), ("cpu", 8000)])));
    cluster.settle(1);
    assert_eq!([cluster.running("nics"), cluster.used("a", "example.com/nic") as usize], [2, 2]);
    // The node goes, and with it the name: what waits says so again.
    cluster.events.push(Event::NodeGone("new".into()));
    cluster.settle(1);
    assert_eq!(
        cluster.why("nics"),
        ["UnknownResource: asks for \"example.com/nic\", which no node has and no pool lists"]
    );
}

#[test]
fn a_name_that_a_pool_lists_is_a_dimension_of_which_there_is_none() {
    let mut cluster = Cluster::new(vec![pool("a").reserves("example.com/nic", 4)], gpu_nodes(1, 8));
    cluster.submit("nics", job("a", asks(&[("example.com/nic", 1)])));
    cluster.settle(1);
    assert_eq!(cluster.why("nics"), ["WaitingForPlacement: 0 of 1 would fit if the usable nodes were empty"]);
}

#[test]
fn what_an_unmanaged_pod_holds_of_a_name_counts_from_when_a_node_has_it() {
    let mut cluster = Cluster::new(vec![pool("a")], vec![node("n", &[("cpu", 8000)])]);
    let shape = Arc::new(asks(&[("example.com/nic", 3), ("cpu", 1000)]));
    cluster.events.push(Event::Unmanaged { uid: Uid::new(5_000), node: "n".into(), shape });
    cluster.settle(1);
    cluster.events.push(Event::Node(node("n", &[("cpu", 8000), ("example.com/nic", 4)])));
    cluster.submit("nics", job("a", asks(&[("example.com/nic", 1)])).times(2));
    cluster.settle(1);
    assert_eq!(cluster.running("nics"), 1, "3 of 4 are held by a pod that nobody manages");
}

/// ```text
/// cluster   1 host
/// └─ a      limit 5 pods
/// ```
#[test]
fn pods_count_like_any_resource_where_a_pool_lists_them() {
    let mut cluster = Cluster::new(vec![pool("a").gives("pods", 0, Some(5), 1), pool("b")], gpu_nodes(1, 8));
    cluster.submit("small", job("a", asks(&[("cpu", 100), (GPU, 1)])).times(6));
    cluster.submit("nothing", job("a", PodShape::default()).times(50));
    cluster.submit("elsewhere", job("b", asks(&[(GPU, 1)])).times(3));
    cluster.settle(1);
    assert_eq!([cluster.running("small") + cluster.running("nothing"), cluster.running("elsewhere")], [5, 3]);
    assert_eq!(cluster.used("a", "pods"), 5);
}

#[test]
fn a_pool_that_begins_to_list_pods_counts_those_that_run() {
    let mut cluster = one_host();
    cluster.submit("first", job("a", asks(&[(GPU, 1)])).times(4));
    cluster.settle(1);
    cluster.events.push(Event::Pools(vec![pool("a").gives("pods", 0, Some(5), 1)]));
    cluster.submit("later", job("a", asks(&[(GPU, 1)])).times(4));
    cluster.settle(1);
    assert_eq!([cluster.running("first"), cluster.running("later")], [4, 1]);
    assert_eq!(cluster.used("a", "pods"), 5);
}

#[test]
fn shapes_and_requests_of_pods_that_are_gone_are_given_back() {
    let mut cluster = one_host();
    for round in 0..20 {
        for at in 0..500 {
            let mut shape = asks(&[(GPU, 1)]);
            shape.node_selector.insert("mine".into(), format!("{round}-{at}"));
            cluster.submit("unique", job("a", shape));
        }
        cluster.step();
        cluster.finish("unique");
        cluster.step();
    }
    assert!(cluster.queue.interned() <= 2 * 1024 + 1000, "{}", cluster.queue.interned());
}
