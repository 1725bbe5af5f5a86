//! Which pods a plan may take (C1, C2): those of pools that are above their entitlement in what the claimant lacks,
//! gangs without what already leaves, and in good time.

use std::sync::Arc;
use std::time::Duration;

use weir_queue::{Event, PodShape, PoolSettings};

use crate::cluster::*;

/// The cores of GPU hosts, which count for a pool that lists them.
const GPU_HOSTS_CPU: &str = "gpu-hosts.weir.dev/cpu";

/// ```text
/// cluster  2 hosts × 8 GPUs, 64 cores = 16 GPUs
/// ├─ w     runs 8 GPUs, borrowed
/// ├─ v     reserves 8 GPUs and uses them, and is above its limit of cores
/// └─ c     reserves 8 GPUs
/// ```
#[test]
fn a_pool_that_is_above_only_in_what_the_claimant_does_not_lack_gives_nothing() {
    let pools = |cores: i64| {
        let v = pool("v").reserves(GPU, 8).gives(GPU_HOSTS_CPU, 0, Some(cores), 1);
        vec![pool("w"), v, pool("c").reserves(GPU, 8)]
    };
    let mut cluster = Cluster::new(pools(64_000), gpu_nodes(2, 8));
    cluster.submit("borrowed", job("w", asks(&[(GPU, 8), ("cpu", 32_000)])));
    cluster.settle(100);
    cluster.submit("own", job("v", asks(&[(GPU, 8), ("cpu", 32_000)])));
    cluster.settle(1);
    cluster.events.push(Event::Pools(pools(16_000)));
    cluster.submit("claimant", job("c", asks(&[(GPU, 8), ("cpu", 8_000)])));
    cluster.settle(70);
    assert_eq!(["borrowed", "own", "claimant"].map(|name| cluster.running(name)), [0, 1, 1]);
}

/// ```text
/// cluster        4 hosts × 4 GPUs = 16
/// ├─ production  reserves 8
/// └─ lab         runs a gang of 4 × 4, half of it borrowed
/// ```
fn borrowed_gang(change: impl FnOnce(&mut PoolSettings)) -> Cluster {
    let pools = vec![pool("production").reserves(GPU, 8), pool("lab").with(change)];
    let mut nodes = gpu_nodes(4, 4);
    nodes.push(node("cpu", &[("cpu", 8_000)]));
    let mut cluster = Cluster::new(pools, nodes);
    cluster.submit("gang", job("lab", asks(&[(GPU, 4)])).gang(4));
    cluster
}

#[test]
fn a_gang_of_which_one_member_already_leaves_gives_way_with_the_others() {
    let mut cluster = borrowed_gang(|_| {});
    cluster.settle(1);
    cluster.begin_deletion(cluster.jobs["gang"][0], Duration::from_secs(86_400));
    cluster.submit("serve", job("production", asks(&[(GPU, 4)])).times(2));
    cluster.settle(70);
    assert_eq!((cluster.running("serve"), cluster.evicted.len()), (2, 3));
}

#[test]
fn a_gang_is_as_old_as_its_beginning_however_often_a_member_is_replaced() {
    let mut cluster = borrowed_gang(|settings| settings.min_runtime = Duration::from_secs(600));
    let small: Arc<PodShape> = Arc::new(asks(&[("cpu", 1)]));
    let mut pod = cluster.pods[&cluster.jobs["gang"][0]].clone();
    pod.shape = Arc::clone(&small);
    cluster.change(pod);
    cluster.settle(1);
    assert_eq!(cluster.running("gang"), 4);
    cluster.submit("serve", job("production", asks(&[(GPU, 4)])).times(2));
    for _ in 0..4 {
        cluster.settle(540);
        let member = cluster.jobs["gang"].iter().copied().find(|uid| cluster.pods[uid].shape == small);
        cluster.replace(member.unwrap());
    }
    cluster.settle(1);
    assert_eq!((cluster.running("serve"), cluster.evicted.len()), (2, 4));
}

/// ```text
/// cluster        3 hosts × 8 GPUs
/// ├─ production  reserves 16, a pod of 8 admitted and assumed on the third host
/// └─ lab         two pods of 8, borrowed
/// ```
#[test]
fn an_admitted_pod_that_lost_its_room_is_placed_before_the_claimant() {
    let pools = vec![pool("production").reserves(GPU, 16), pool("lab")];
    let mut cluster = Cluster::new(pools, gpu_nodes(3, 8));
    cluster.submit("borrowed", job("lab", asks(&[(GPU, 8)])).times(2));
    cluster.settle(1);
    cluster.submit("admitted", job("production", asks(&[(GPU, 8)])));
    cluster.step();
    cluster.unbind("admitted");
    assert_eq!(cluster.running("admitted"), 1);
    let node = "gpu-002".into();
    cluster.events.push(Event::Unmanaged { uid: weir_queue::Uid::new(9_999), node, shape: asks(&[(GPU, 8)]).into() });
    cluster.submit("claimant", job("production", asks(&[(GPU, 8)])));
    cluster.settle(70);
    let victims: Vec<usize> = cluster.evictions.iter().map(|eviction| eviction.victims.len()).collect();
    assert_eq!(victims, [2], "room for both, in one plan");
    assert_eq!(cluster.running("claimant"), 1);
}

/// ```text
/// cluster        2 hosts × 8 GPUs = 16
/// ├─ production  reserves 8
/// └─ lab         x and y, 8 each
/// ```
#[test]
fn a_victim_that_does_not_end_is_given_up_and_another_is_taken() {
    let mut cluster = Cluster::new(vec![pool("production").reserves(GPU, 8), pool("lab")], gpu_nodes(2, 8));
    cluster.submit("x", job("lab", asks(&[(GPU, 8)])));
    cluster.submit("y", job("lab", asks(&[(GPU, 8)])).priority(1));
    cluster.settle(1);
    let x = cluster.jobs["x"][0];
    cluster.stubborn.insert(x);
    cluster.submit("serve", job("production", asks(&[(GPU, 8)])));
    // A minute until the plan, ten for the grace period that the pool gives, and one that it may take longer.
    cluster.settle(60 + 600);
    assert_eq!((cluster.evicted.len(), cluster.running("serve")), (1, 0));
    assert_eq!(cluster.queue.stuck(), []);
    cluster.settle(60 + 65);
    assert_eq!((cluster.evicted.len(), cluster.running("serve")), (2, 1));
    let stuck = cluster.queue.stuck();
    assert_eq!(stuck.len(), 1);
    assert_eq!((stuck[0].uid, stuck[0].pool.as_str(), stuck[0].node.is_some()), (x, "lab", true));
    assert_eq!(cluster.used("lab", GPU), 8, "it holds what it holds");
    cluster.settle(3600);
    assert_eq!(cluster.evicted.len(), 2);
    cluster.delete(x);
    cluster.settle(1);
    assert_eq!((cluster.queue.stuck(), cluster.running("y")), (vec![], 1));
}

#[test]
fn a_pod_that_does_not_end_on_a_node_that_is_away_holds_no_quota() {
    let mut cluster = Cluster::new(vec![pool("a").reserves(GPU, 8)], gpu_nodes(2, 8));
    cluster.submit("firm", job("a", asks(&[(GPU, 8)])).firm());
    cluster.settle(1);
    let away = |excluded| weir_queue::Node { excluded, ..gpu_nodes(1, 8).remove(0) };
    cluster.events.push(Event::Node(away(Some(weir_entitlement::Exclusion::NotReady))));
    cluster.begin_deletion(cluster.jobs["firm"][0], Duration::from_secs(30));
    cluster.submit("next", job("a", asks(&[(GPU, 8)])).firm());
    cluster.settle(60);
    assert_eq!(cluster.running("next"), 0, "it may still end");
    cluster.settle(60);
    assert_eq!((cluster.running("next"), cluster.used("a", GPU)), (1, 8));
    cluster.events.push(Event::Node(away(None)));
    cluster.settle(1);
    assert_eq!(cluster.used("a", GPU), 16, "its node is back, and it is still there");
}
