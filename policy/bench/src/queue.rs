//! The queue: a full cluster of 1000 nodes × 8 GPUs, 1000 pools in three levels, 100,000 pods waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use weir_model::{Amount, Class, ResourceSpec};
use weir_queue::{
    Admitted, Config, Decision, Event, GangKey, Grounds, Hosts, Membership, Node, Obstacle, Phase, Pod, PodShape,
    PoolConfig, Queue, Time, Uid,
};

use crate::measure::{Dice, MEMORY, Quantity, Row, milliseconds};

const GPU: &str = "nvidia.com/gpu";
const NODES: u64 = 1000;
const WAITING: u64 = 100_000;
const NOW: u64 = 1_000_000_000;

pub(crate) const QUANTITIES: &[Quantity] = &[
    ("decision_ms", arrival),
    ("decision_after_end_ms", end),
    ("cold_ms", cold),
    ("cold_admit_ms", cold_admit),
    ("reclaim_ms", |name| {
        reclaim(name, "1000 nodes × 8 GPUs, 8000 victims; a gang of 64 whole hosts", 64, Size::Hosts)
    }),
    ("reclaim_small_ms", |name| reclaim(name, "the same; 512 pods of one GPU each", 512, Size::Single)),
    ("bytes_per_waiting_pod", memory),
];

fn arrival(name: &'static str) -> Row {
    milliseconds(
        name,
        "1000 pools, 100,000 waiting pods, a full cluster; one more pod arrives".into(),
        200,
        &mut Bench::full(),
        |bench, run| bench.events = vec![bench.arrival(run as u64)],
        Bench::step,
    )
}

fn end(name: &'static str) -> Row {
    milliseconds(
        name,
        "the same; one pod ends and another is admitted in its place".into(),
        200,
        &mut Bench::full(),
        |bench, _| bench.events = vec![bench.end()],
        Bench::step,
    )
}

fn cold(name: &'static str) -> Row {
    milliseconds(
        name,
        "the same from nothing: 1000 nodes, 1000 pools, 8000 running and 100,000 waiting pods".into(),
        10,
        &mut Bench::empty(),
        |bench, _| *bench = Bench { events: everything(), ..Bench::empty() },
        Bench::step,
    )
}

fn cold_admit(name: &'static str) -> Row {
    milliseconds(
        name,
        "the same, and the cluster is idle: 8000 pods are admitted".into(),
        10,
        &mut Bench::empty(),
        |bench, _| {
            let events = everything();
            let idle = |event: &Event| !matches!(event, Event::Pod(pod) if pod.phase != Phase::Waiting);
            *bench = Bench { events: events.into_iter().filter(idle).collect(), ..Bench::empty() };
        },
        Bench::step,
    )
}

/// The step in which a plan is made and carried out.
fn reclaim(name: &'static str, what: &str, pods: u64, size: Size) -> Row {
    milliseconds(
        name,
        what.into(),
        10,
        &mut Bench::empty(),
        |bench, _| {
            *bench = Bench::borrowed();
            bench.events = claimants(pods, size);
            bench.step();
            bench.now = bench.now.after(Duration::from_secs(61));
        },
        |bench| {
            let evicts = bench.step().iter().filter(|decision| matches!(decision, Decision::Evict(_))).count();
            assert!(evicts > 0, "the plan evicts pods");
        },
    )
}

/// Bytes on the heap for each waiting pod, its pool, gang and shape included.
fn memory(name: &'static str) -> Row {
    let mut bench = Bench::empty();
    bench.events = everything().into_iter().filter(|event| !is_waiting(event)).collect();
    bench.step();
    let before = MEMORY.allocated();
    bench.events = everything().into_iter().filter(is_waiting).collect();
    bench.step();
    let bytes = MEMORY.allocated().saturating_sub(before) as f64 / WAITING as f64;
    let what = "bytes on the heap for each of 100,000 waiting pods".into();
    Row { name, what, median: bytes, min: bytes, max: bytes, runs: 1 }
}

fn is_waiting(event: &Event) -> bool {
    matches!(event, Event::Pod(pod) if pod.phase == Phase::Waiting)
}

#[derive(Clone, Copy)]
enum Size {
    Hosts,
    Single,
}

/// GPU pods on GPU hosts, others elsewhere.
struct Rules;

impl Hosts for Rules {
    fn is_gpu(&self, resource: &str) -> bool {
        resource == GPU
    }

    fn pod_class(&self, shape: &PodShape) -> Result<Class, Obstacle> {
        Ok(if shape.requests.contains_key(GPU) { Class::GpuHosts } else { Class::CpuHosts })
    }

    fn node_class(&self, node: &Node) -> Class {
        if node.capacity.contains_key(GPU) { Class::GpuHosts } else { Class::CpuHosts }
    }
}

struct Bench {
    queue: Queue,
    now: Time,
    events: Vec<Event>,
    running: Vec<Uid>,
}

impl Bench {
    fn empty() -> Self {
        let config = Config { hysteresis: Duration::from_secs(60), ..Config::default() };
        let queue = Queue::new(Box::new(Rules), config);
        Self { queue, now: Time::from_millis(NOW), events: Vec::new(), running: Vec::new() }
    }

    fn full() -> Self {
        let mut bench = Self { events: everything(), ..Self::empty() };
        bench.running = bench.events.iter().filter_map(running).collect();
        bench.step();
        bench
    }

    /// Research runs everywhere, and production has nothing yet.
    fn borrowed() -> Self {
        let mut bench = Self::empty();
        let reserved = ResourceSpec { reservation: Amount::new(6000), ..ResourceSpec::unlisted(1) };
        let production =
            PoolConfig { name: "production".into(), resources: vec![(GPU.into(), reserved)], ..PoolConfig::default() };
        let research = PoolConfig { name: "research".into(), ..PoolConfig::default() };
        bench.events = nodes();
        bench.events.push(Event::Pools(vec![production, research]));
        let shape = shape(1);
        let pod = |at: u64| pod(at, "research", &shape, Some(at / 8));
        bench.events.extend((0..NODES * 8).map(|at| Event::Pod(pod(at))));
        bench.step();
        bench
    }

    fn step(&mut self) -> Vec<Decision> {
        self.queue.step(self.now, std::mem::take(&mut self.events))
    }

    fn arrival(&self, run: u64) -> Event {
        Event::Pod(pod(10_000_000 + run, &leaf(run), &shape(1 + run as i64 % 4), None))
    }

    fn end(&mut self) -> Event {
        Event::PodGone(self.running.pop().unwrap_or(Uid::new(0)))
    }
}

fn running(event: &Event) -> Option<Uid> {
    match event {
        Event::Pod(pod) if pod.phase != Phase::Waiting => Some(pod.uid),
        _ => None,
    }
}

fn claimants(pods: u64, size: Size) -> Vec<Event> {
    let shape = shape(match size {
        Size::Hosts => 8,
        Size::Single => 1,
    });
    let key = GangKey { namespace: "default".into(), name: "claimant".into(), owner: None };
    let gang = Membership { gang: Arc::new(key), size: pods as u32, at_most: None, part: None };
    let claimant = |at| {
        let gang = matches!(size, Size::Hosts).then(|| gang.clone());
        Event::Pod(Pod { gang, priority: 0, ..pod(1_000_000 + at, "production", &shape, None) })
    };
    (0..pods).map(claimant).collect()
}

/// 10 organisations × 9 departments × 10 teams: 1000 pools.
fn pools() -> Event {
    let pool = |name: String, parent: Option<String>, reservation, limit: Option<i64>| {
        let spec = ResourceSpec {
            reservation: Amount::new(reservation),
            limit: limit.map(Amount::new),
            ..ResourceSpec::unlisted(1)
        };
        PoolConfig { name, parent, resources: vec![(GPU.into(), spec)], ..PoolConfig::default() }
    };
    let mut all = Vec::new();
    for org in 0..10 {
        all.push(pool(format!("org-{org}"), None, 800, None));
        for department in 0..9 {
            let parent = format!("department-{org}-{department}");
            all.push(pool(parent.clone(), Some(format!("org-{org}")), 80, Some(400)));
            all.extend((0..10).map(|team| pool(format!("{parent}-{team}"), Some(parent.clone()), 8, Some(100))));
        }
    }
    Event::Pools(all)
}

fn leaf(at: u64) -> String {
    format!("department-{}-{}-{}", at / 90 % 10, at / 10 % 9, at % 10)
}

fn nodes() -> Vec<Event> {
    let node = |at: u64| {
        let resources = [(GPU, 8), ("cpu", 96_000), ("memory", 768 << 30), ("pods", 110)];
        let allocatable: BTreeMap<_, _> =
            resources.map(|(name, amount)| (name.to_owned(), Amount::new(amount))).into_iter().collect();
        Event::Node(Node { name: node_name(at), capacity: allocatable.clone(), allocatable, ..Node::default() })
    };
    (0..NODES).map(node).collect()
}

fn node_name(at: u64) -> String {
    format!("node-{at:04}")
}

fn shape(gpus: i64) -> Arc<PodShape> {
    let requests = [(GPU, gpus), ("cpu", gpus * 8000), ("memory", gpus * (32 << 30))];
    let requests = requests.map(|(name, amount)| (name.to_owned(), Amount::new(amount))).into_iter().collect();
    Arc::new(PodShape { requests, ..PodShape::default() })
}

fn pod(at: u64, pool: &str, shape: &Arc<PodShape>, node: Option<u64>) -> Pod {
    let admitted = |node: u64| {
        let started = Time::from_millis(NOW - 1_000_000 + at % 7919 * 100);
        let node = Some(node_name(node).into());
        Phase::Admitted(Admitted {
            at: started,
            grounds: Grounds::WithinEntitlement,
            node,
            started: Some(started),
            terminating: None,
        })
    };
    Pod {
        uid: Uid::new(u128::from(at) + 1),
        pool: pool.into(),
        priority: (at % 3) as i32,
        created: Time::from_millis(NOW - 500_000 + at % 400_000),
        preemptible: true,
        gang: None,
        shape: Arc::clone(shape),
        phase: node.map_or(Phase::Waiting, admitted),
        obstacle: None,
        back_off: None,
        controlled: true,
    }
}

/// A full cluster, and a hundred thousand pods of eight templates that wait; one in ten belongs to a gang of 8.
fn everything() -> Vec<Event> {
    let mut events = nodes();
    events.push(pools());
    let single = shape(1);
    events.extend((0..NODES * 8).map(|at| Event::Pod(pod(at, &leaf(at), &single, Some(at / 8)))));
    let shapes = [1, 1, 1, 2, 2, 4, 8, 3].map(shape);
    let mut dice = Dice::new(11);
    let names: Vec<Arc<str>> = (0..900).map(|at| leaf(at).into()).collect();
    for at in 0..WAITING {
        let number = NODES * 8 + at;
        let in_gang = at % 80 < 8;
        let which = if in_gang { at / 80 } else { dice.below(900) };
        let shape = if in_gang { &shapes[0] } else { &shapes[dice.below(8) as usize] };
        let name = &names[(which % 900) as usize];
        let key = |gang: u64| GangKey { namespace: "default".into(), name: format!("gang-{gang}"), owner: None };
        let gang = in_gang.then(|| Membership { gang: Arc::new(key(at / 80)), size: 8, at_most: None, part: None });
        let one = Pod { pool: Arc::clone(name), priority: 0, ..pod(number, "", shape, None) };
        events.push(Event::Pod(Pod { gang, ..one }));
    }
    events
}
