//! Gangs of several parts, such as Ray clusters: what is needed goes whole, what is beyond goes bit by bit.

use std::sync::Arc;
use std::time::Duration;

use weir_queue::*;

use crate::cluster::*;

/// ```text
/// cluster   hosts × 4 GPUs
/// ├─ a
/// └─ b
/// ```
fn hosts(count: usize) -> Cluster {
    Cluster::new(vec![pool("a").reserves(GPU, 4), pool("b").reserves(GPU, 4)], gpu_nodes(count, 4))
}

/// A Ray cluster of pool `a`: each of its pods asks for one GPU.
struct Ray {
    key: Arc<GangKey>,
    workers: Part,
}

impl Ray {
    /// A head and worker pods, of which this many are needed, as many at a time as a worker has hosts.
    fn of(needed: u32, step: u32) -> Self {
        let owner = Some(Uid::new(1 << 90));
        let key = Arc::new(GangKey { namespace: "default".into(), name: "ray".into(), owner });
        Self { key, workers: Part { name: "workers".into(), needed, step } }
    }

    fn membership(&self, part: Part) -> Option<Membership> {
        let size = self.workers.needed + 1;
        Some(Membership { gang: Arc::clone(&self.key), size, at_most: None, part: Some(Arc::new(part)) })
    }

    fn head(&self, cluster: &mut Cluster) {
        self.add(cluster, "head", 1, Part { name: "head".into(), needed: 1, step: 1 });
    }

    fn workers(&self, cluster: &mut Cluster, count: u32) {
        self.add(cluster, "workers", count, self.workers.clone());
    }

    fn add(&self, cluster: &mut Cluster, name: &str, count: u32, part: Part) {
        let seen = cluster.events.len();
        cluster.submit(name, job("a", asks(&[(GPU, 1)])).times(count));
        for event in &mut cluster.events[seen..] {
            let Event::Pod(pod) = event else { continue };
            pod.gang = self.membership(part.clone());
            cluster.pods.insert(pod.uid, pod.clone());
        }
    }

    /// The Ray cluster says something else of its workers by now.
    fn needs(&mut self, cluster: &mut Cluster, needed: u32) {
        self.workers.needed = needed;
        for pod in cluster.pods.values().cloned().collect::<Vec<_>>() {
            let part = pod.gang.as_ref().and_then(|gang| gang.part.as_deref().cloned());
            let Some(part) = part else { continue };
            let part = if part.name == "workers" { self.workers.clone() } else { part };
            cluster.change(Pod { gang: self.membership(part), ..pod });
        }
    }
}

/// How many pods of the head and of the workers run.
fn running(cluster: &Cluster) -> [usize; 2] {
    ["head", "workers"].map(|name| cluster.running(name))
}

#[test]
fn what_is_needed_is_admitted_whole_and_what_is_beyond_one_by_one() {
    let mut cluster = hosts(1);
    let ray = Ray::of(2, 1);
    ray.workers(&mut cluster, 4);
    cluster.settle(1);
    assert_eq!(running(&cluster), [0, 0], "the head is not there");
    let gang_first = "is more than its gang needs, which goes first; 0 of 3 that it needs are admitted";
    assert_eq!(
        cluster.why("workers"),
        ["WaitingForGang: 2 of 3 members are there".into(), format!("WaitingForGang: {gang_first}")]
    );
    ray.head(&mut cluster);
    let events = std::mem::take(&mut cluster.events);
    let decided = cluster.queue.step(cluster.now, events);
    let Some(Decision::Admit(first)) = decided.first() else { panic!("{decided:?}") };
    assert_eq!(first.pods.len(), 3, "one decision for what is needed");
}

#[test]
fn elastic_workers_wait_for_room_one_by_one_while_their_cluster_runs() {
    let mut cluster = hosts(1);
    let ray = Ray::of(2, 1);
    ray.head(&mut cluster);
    ray.workers(&mut cluster, 5);
    cluster.settle(2);
    assert_eq!(running(&cluster), [1, 3], "one of three fits");
    let sentence = "asks for 1 nvidia.com/gpu; pool \"a\" uses 4 of 4 that it is entitled to now";
    assert_eq!(cluster.why("workers"), [format!("WaitingForQuota: {sentence}")]);
    cluster.events.push(Event::Node(node("more", &[(GPU, 1), ("cpu", 64_000)])));
    cluster.settle(2);
    assert_eq!(running(&cluster), [1, 4]);
}

#[test]
fn a_cluster_that_is_too_large_waits_whole() {
    let mut cluster = hosts(1);
    let ray = Ray::of(4, 1);
    ray.head(&mut cluster);
    ray.workers(&mut cluster, 4);
    cluster.settle(5);
    assert_eq!(running(&cluster), [0, 0]);
    assert_eq!(cluster.why("head"), ["WaitingForPlacement: 4 of 5 would fit if the usable nodes were empty"]);
}

#[test]
fn a_worker_of_two_hosts_is_admitted_with_both_of_them_or_not_at_all() {
    let mut cluster = hosts(2);
    let ray = Ray::of(2, 2);
    ray.head(&mut cluster);
    // One worker is needed, two are elastic and one lacks a host.
    ray.workers(&mut cluster, 7);
    cluster.settle(2);
    assert_eq!(running(&cluster), [1, 6], "7 of 8 GPUs: of the last worker one host is missing");
    let waits = cluster.jobs["workers"].iter().find_map(|&uid| cluster.queue.explain(uid)).unwrap();
    assert_eq!(waits, Explanation::Gang { created: 1, size: 2 });
    ray.workers(&mut cluster, 1);
    cluster.settle(2);
    assert_eq!(running(&cluster), [1, 6], "one GPU is left for two hosts");
    cluster.events.push(Event::Node(node("more", &[(GPU, 1), ("cpu", 64_000)])));
    cluster.settle(2);
    assert_eq!(running(&cluster), [1, 8]);
}

#[test]
fn elastic_workers_go_first_and_below_its_needs_the_cluster_goes_whole() {
    let mut cluster = hosts(2);
    cluster.recreate = false;
    let ray = Ray::of(2, 1);
    ray.head(&mut cluster);
    ray.workers(&mut cluster, 6);
    cluster.settle(2);
    assert_eq!(running(&cluster), [1, 6], "it borrows what b does not use");
    // A pod of b asks for 2 of its 4: one is free, and one elastic worker goes.
    cluster.submit("two", job("b", asks(&[(GPU, 1)])).times(2));
    cluster.settle(70);
    assert_eq!((cluster.running("two"), running(&cluster)), (2, [1, 5]));
    cluster.submit("more", job("b", asks(&[(GPU, 1)])).times(2));
    cluster.settle(70);
    assert_eq!((cluster.running("more"), running(&cluster)), (2, [1, 3]));
    assert_eq!(cluster.evictions.iter().map(|eviction| eviction.victims.len()).sum::<usize>(), 3);
}

/// ```text
/// cluster   2 hosts × 4 GPUs
/// ├─ a      reserves 2
/// └─ b      reserves 6
/// ```
#[test]
fn where_what_is_beyond_is_not_enough_all_of_it_goes_together() {
    let pools = vec![pool("a").reserves(GPU, 2), pool("b").reserves(GPU, 6)];
    let mut cluster = Cluster::new(pools, gpu_nodes(2, 4));
    cluster.recreate = false;
    let ray = Ray::of(3, 1);
    ray.head(&mut cluster);
    ray.workers(&mut cluster, 4);
    cluster.settle(2);
    assert_eq!(running(&cluster), [1, 4]);
    cluster.submit("gang", job("b", asks(&[(GPU, 1)])).gang(6));
    cluster.settle(70);
    assert_eq!((cluster.running("gang"), running(&cluster)), (6, [0, 0]));
}

#[test]
fn what_a_cluster_grows_by_stands_in_the_queue_and_what_it_lost_ahead_of_it() {
    let mut cluster = hosts(1);
    let mut ray = Ray::of(2, 1);
    ray.head(&mut cluster);
    ray.workers(&mut cluster, 2);
    cluster.settle(2);
    assert_eq!(running(&cluster), [1, 2]);
    ray.needs(&mut cluster, 3);
    ray.workers(&mut cluster, 1);
    cluster.settle(2);
    let grounds = cluster.grounds("workers");
    assert_eq!(grounds, vec![Grounds::WithinEntitlement; 3], "nothing was lost, so nothing is replaced");
    let lost = cluster.jobs["workers"][0];
    cluster.replace(lost);
    cluster.settle(2);
    assert!(cluster.grounds("workers").contains(&Grounds::Replacement));
    assert_eq!(running(&cluster), [1, 3]);
}

#[test]
fn the_size_of_a_cluster_that_waits_follows_what_it_says() {
    let mut cluster = hosts(1);
    let mut ray = Ray::of(4, 1);
    ray.head(&mut cluster);
    ray.workers(&mut cluster, 4);
    cluster.settle(2);
    assert_eq!(running(&cluster), [0, 0]);
    ray.needs(&mut cluster, 3);
    cluster.settle(2);
    assert_eq!(running(&cluster), [1, 3], "the fifth is elastic now and finds no room");
}

#[test]
fn an_elastic_worker_takes_the_place_of_one_that_is_lost() {
    let mut cluster = hosts(1);
    cluster.recreate = false;
    let ray = Ray::of(1, 1);
    ray.head(&mut cluster);
    ray.workers(&mut cluster, 2);
    cluster.settle(2);
    assert_eq!(running(&cluster), [1, 2]);
    let lost = cluster.jobs["workers"][0];
    cluster.replace(lost);
    ray.workers(&mut cluster, 1);
    cluster.settle(2);
    assert_eq!(running(&cluster), [1, 2]);
    assert_eq!(cluster.grounds("workers"), vec![Grounds::WithinEntitlement; 2], "the new one is beyond what is needed");
}

#[test]
fn a_cluster_whose_growth_is_not_placed_in_time_keeps_what_ran() {
    let mut cluster = hosts(1);
    let mut ray = Ray::of(1, 1);
    ray.head(&mut cluster);
    ray.workers(&mut cluster, 1);
    cluster.settle(2);
    ray.needs(&mut cluster, 2);
    ray.workers(&mut cluster, 1);
    let events = std::mem::take(&mut cluster.events);
    let decided = cluster.queue.step(cluster.now, events);
    assert!(matches!(&decided[..], [Decision::Admit(admission)] if admission.pods.len() == 1));
    // The scheduler does not bind it, and goes on to bind others.
    let mut killed = Vec::new();
    for minute in 1..30 {
        let now = cluster.now.after(Duration::from_secs(60 * minute));
        for decision in cluster.queue.step(now, [Event::SchedulerProgress]) {
            if let Decision::Evict(eviction) = decision {
                killed.extend(eviction.victims);
            }
        }
    }
    assert_eq!(killed.len(), 1, "the late one goes alone");
}

#[test]
fn a_gang_of_unknown_size_waits_and_goes_on_when_the_size_is_known() {
    let mut cluster = hosts(1);
    let ray = Ray::of(0, 1);
    ray.head(&mut cluster);
    let uid = cluster.jobs["head"][0];
    let known = cluster.pods[&uid].clone();
    let sentence = "RayCluster \"ray\" is not known yet";
    cluster.change(Pod { gang: None, obstacle: Some(Obstacle::GangUnknown(sentence.into())), ..known.clone() });
    cluster.settle(1);
    assert_eq!(cluster.why("head"), [format!("WaitingForGang: {sentence}")]);
    cluster.change(known);
    cluster.settle(1);
    assert_eq!(running(&cluster), [1, 0]);
}

/// ```text
/// cluster        2 hosts × 8 GPUs, then 3
/// ├─ production  reserves 16, whose head waits for 30 s, and then comes first
/// ├─ training    reserves 8, lower priorities give way
/// └─ notebooks
/// ```
#[test]
fn no_pod_goes_for_more_of_a_gang_that_goes_by_the_same_plan() {
    let training = pool("training").reserves(GPU, 8).with(|it| it.within_pool = WithinPool::LowerPriority);
    let patient = |it: &mut PoolSettings| it.patience = Duration::from_secs(30);
    let pools = vec![pool("production").reserves(GPU, 16).with(patient), training, pool("notebooks")];
    let mut cluster = Cluster::new(pools, gpu_nodes(2, 8));
    cluster.submit("notebook", job("notebooks", asks(&[(GPU, 1)])).priority(1));
    cluster.submit("train", job("training", asks(&[(GPU, 4)])).times(5).needs(3, 2));
    cluster.settle(1);
    cluster.submit("serve", job("production", asks(&[(GPU, 4)])).times(4));
    cluster.events.extend(gpu_nodes(3, 8).into_iter().skip(2).map(Event::Node));
    cluster.settle(1);
    assert_eq!(["notebook", "train", "serve"].map(|name| cluster.running(name)), [1, 3, 2]);
    // Without these three, two more of their gang would be within the entitlement of 8, but for the notebook.
    cluster.settle(70);
    assert_eq!(["train", "serve"].map(|name| cluster.running(name)), [0, 4]);
    let claimants = cluster.evictions.iter().map(|eviction| match &eviction.cause {
        Cause::Reclaim { claimant, pool, .. } => (claimant.len(), pool.as_str()),
        cause => panic!("{cause:?}"),
    });
    assert_eq!(claimants.collect::<Vec<_>>(), [(1, "production")]);
}
