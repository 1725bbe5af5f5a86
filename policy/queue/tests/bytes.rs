//! What a pod costs on the heap, after so many others came and went (G2): at most 3 KiB for a waiting pod, 1 KiB for an
//! admitted one and 0.3 KiB for one that is not managed, and nothing for those that are gone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::alloc::System;
use std::collections::BTreeSet;
use std::sync::Arc;

use cap::Cap;
use weir_model::{Amount, Class};
use weir_queue::*;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

const GPU: &str = "nvidia.com/gpu";

struct OneClass;

impl Hosts for OneClass {
    fn is_gpu(&self, resource: &str) -> bool {
        resource == GPU
    }
    fn pod_class(&self, _: &PodShape) -> Result<Class, Obstacle> {
        Ok(Class::GpuHosts)
    }
    fn node_class(&self, _: &Node) -> Class {
        Class::GpuHosts
    }
}

/// A pod whose shape no other has, as every pod of a Job with a label or an affinity of its own.
fn unique(uid: u128, node: Option<&str>) -> Event {
    let requests = [("cpu", 1000), ("memory", 1 << 30), (GPU, 1)];
    let requests = requests.map(|(name, units)| (name.to_owned(), Amount::new(units))).into();
    let own = [("example.com/job-index".to_owned(), format!("{uid}"))].into();
    let shape = Arc::new(PodShape { requests, node_selector: own, ..PodShape::default() });
    let admitted = |node: &str| Admitted {
        at: Time::ZERO,
        grounds: Grounds::WithinEntitlement,
        node: Some(node.into()),
        started: None,
        terminating: None,
    };
    Event::Pod(Pod {
        uid: Uid::new(uid),
        pool: "a".into(),
        priority: 0,
        created: Time::ZERO,
        preemptible: true,
        gang: None,
        shape,
        phase: node.map_or(Phase::Waiting, |node| Phase::Admitted(admitted(node))),
        obstacle: None,
        back_off: None,
        controlled: true,
    })
}

fn unmanaged(uid: u128, node: &str) -> Event {
    let requests = [("cpu", 100), ("memory", 1 << 20)];
    let requests = requests.map(|(name, units)| (name.to_owned(), Amount::new(units))).into();
    let ports = BTreeSet::new();
    // The affinity of each pod of a DaemonSet names its node.
    let names = vec![Requirement { key: "metadata.name".into(), operator: Operator::In(vec![format!("{uid}")]) }];
    let affinity = vec![Term { expressions: vec![], names }];
    let shape = Arc::new(PodShape { requests, affinity, ports, ..PodShape::default() });
    Event::Unmanaged { uid: Uid::new(uid), node: node.into(), shape }
}

fn queue() -> Queue {
    let mut queue = Queue::new(Box::new(OneClass), Config::default());
    let mut events = vec![Event::Pools(vec![PoolConfig { name: "a".into(), ..PoolConfig::default() }])];
    events.extend((0..100).map(|at| {
        let allocatable = [("cpu", 1_000_000), ("memory", 1 << 50), ("pods", 1000), (GPU, 8)];
        let allocatable = allocatable.map(|(name, units)| (name.to_owned(), Amount::new(units))).into();
        Event::Node(Node { name: format!("n{at}"), allocatable, ..Node::default() })
    }));
    queue.step(Time::from_millis(1), events);
    queue
}

/// Bytes for each of so many, with nothing left of five times as many that were there before.
fn bytes_after_churn(count: u128, pod: impl Fn(u128) -> Event) -> u64 {
    let mut queue = queue();
    let before = MEMORY.allocated();
    let mut now = 1;
    for wave in 0..5 {
        let uids = || (0..count).map(|at| wave * count + at + 1);
        let step = |queue: &mut Queue, now: &mut u64, events: Vec<Event>| {
            *now += 1000;
            drop(queue.step(Time::from_millis(*now), events));
        };
        step(&mut queue, &mut now, uids().map(&pod).collect());
        step(&mut queue, &mut now, uids().map(|uid| Event::PodGone(Uid::new(uid))).collect());
    }
    drop(queue.step(Time::from_millis(now + 1000), (0..count).map(|at| pod(1_000_000 + at)).collect::<Vec<_>>()));
    u64::try_from(MEMORY.allocated().saturating_sub(before)).unwrap() / u64::try_from(count).unwrap()
}

/// One test, because the allocator counts for all of them.
#[test]
fn a_pod_costs_what_a_pod_costs_after_churn() {
    let waiting = bytes_after_churn(8_000, |uid| unique(uid, None));
    let admitted = bytes_after_churn(8_000, |uid| {
        let node = format!("n{}", uid % 100);
        let Event::Pod(pod) = unique(uid, Some(&node)) else { panic!("it is a pod") };
        // Those that run have the templates of their Jobs.
        let shape = Arc::new(PodShape { node_selector: [].into(), ..(*pod.shape).clone() });
        Event::Pod(Pod { shape, ..pod })
    });
    let outside = bytes_after_churn(8_000, |uid| unmanaged(uid, &format!("n{}", uid % 100)));
    assert!(waiting <= 3 * 1024, "{waiting} bytes for a waiting pod");
    assert!(admitted <= 1024, "{admitted} bytes for an admitted pod");
    assert!(outside <= 300, "{outside} bytes for a pod that is not managed");
}
