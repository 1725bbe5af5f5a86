//! A cluster for scenarios: it does what a scheduler, a kubelet and an eviction API would do with decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use weir_model::{Amount, Class, PoolId, ResourceKind, ResourceSpec};
use weir_queue::*;

pub(crate) const MODEL: &str = "gpu-node-label-model";

/// GPU hosts have GPUs in their capacity; H100 is special.
pub(crate) struct Rules;

impl Hosts for Rules {
    fn is_gpu(&self, resource: &str) -> bool {
        resource == "nvidia.com/gpu"
    }

    fn pod_class(&self, shape: &PodShape) -> Result<Class, Obstacle> {
        match shape.node_selector.get(MODEL).map(String::as_str) {
            Some("H100") => Ok(Class::Sku("H100".into())),
            Some("unheard-of") => Err(Obstacle::UnknownModel("unheard-of".into())),
            _ if shape.requests.contains_key("nvidia.com/gpu") => Ok(Class::GpuHosts),
            _ => Ok(Class::CpuHosts),
        }
    }

    fn node_class(&self, node: &Node) -> Class {
        match node.labels.get(MODEL).map(String::as_str) {
            Some("H100") => Class::Sku("H100".into()),
            _ if node.capacity.contains_key("nvidia.com/gpu") => Class::GpuHosts,
            _ => Class::CpuHosts,
        }
    }
}

pub(crate) fn pool(name: &str) -> PoolConfig {
    PoolConfig { name: name.into(), ..PoolConfig::default() }
}

/// Short words for tests.
pub(crate) trait Build: Sized {
    fn under(self, parent: &str) -> Self;
    fn gives(self, dim: &str, reservation: i64, limit: Option<i64>, share: u32) -> Self;
    fn reserves(self, dim: &str, reservation: i64) -> Self {
        self.gives(dim, reservation, None, 1)
    }
    fn with(self, change: impl FnOnce(&mut PoolSettings)) -> Self;
}

impl Build for PoolConfig {
    fn under(mut self, parent: &str) -> Self {
        self.parent = Some(parent.into());
        self
    }

    fn gives(mut self, dim: &str, reservation: i64, limit: Option<i64>, share: u32) -> Self {
        let limit = limit.map(Amount::new);
        let spec = ResourceSpec { reservation: Amount::new(reservation), limit, share, kind: ResourceKind::Elastic };
        self.resources.push((dim.into(), spec));
        self
    }

    fn with(mut self, change: impl FnOnce(&mut PoolSettings)) -> Self {
        change(&mut self.settings);
        self
    }
}

pub(crate) const GPU: &str = "nvidia.com/gpu";

pub(crate) fn asks(requests: &[(&str, i64)]) -> PodShape {
    let requests = requests.iter().map(|&(name, amount)| (name.to_owned(), Amount::new(amount))).collect();
    PodShape { requests, ..PodShape::default() }
}

pub(crate) fn node(name: &str, resources: &[(&str, i64)]) -> Node {
    let mut all: BTreeMap<String, Amount> =
        resources.iter().map(|&(name, amount)| (name.to_owned(), Amount::new(amount))).collect();
    all.entry("pods".into()).or_insert(Amount::new(110));
    Node { name: name.into(), capacity: all.clone(), allocatable: all, ..Node::default() }
}

/// What is submitted under one name: a pod, or the pods of a gang.
pub(crate) struct Job {
    pub(crate) pool: String,
    pub(crate) shape: PodShape,
    pub(crate) pods: u32,
    /// How many pods the gang announces; 0 for single pods.
    pub(crate) gang: u32,
    /// Where the gang has a head and workers: how many elastic workers go together.
    pub(crate) step: Option<u32>,
    pub(crate) preemptible: bool,
    pub(crate) priority: i32,
}

pub(crate) fn job(pool: &str, shape: PodShape) -> Job {
    Job { pool: pool.into(), shape, pods: 1, gang: 0, step: None, preemptible: true, priority: 0 }
}

impl Job {
    pub(crate) fn times(self, pods: u32) -> Self {
        Self { pods, ..self }
    }
    pub(crate) fn gang(self, size: u32) -> Self {
        Self { pods: size, gang: size, ..self }
    }
    /// A head and workers, of which only so many pods are needed that the gang has this size.
    pub(crate) fn needs(self, size: u32, step: u32) -> Self {
        Self { gang: size, step: Some(step), ..self }
    }
    pub(crate) fn firm(self) -> Self {
        Self { preemptible: false, ..self }
    }
    pub(crate) fn priority(self, priority: i32) -> Self {
        Self { priority, ..self }
    }
}

pub(crate) struct Cluster {
    pub(crate) queue: Queue,
    pub(crate) now: Time,
    pub(crate) pods: BTreeMap<Uid, Pod>,
    pub(crate) jobs: BTreeMap<String, Vec<Uid>>,
    pub(crate) waits: BTreeMap<Uid, Explanation>,
    pub(crate) over: BTreeMap<(String, String), Time>,
    /// All decisions of the last step.
    pub(crate) decisions: Vec<Decision>,
    pub(crate) evictions: Vec<Eviction>,
    /// What would have been evicted if anything were enforced.
    pub(crate) spoken_of: Vec<Eviction>,
    /// Told to the queue in the next step.
    pub(crate) events: Vec<Event>,
    pub(crate) evicted: BTreeSet<Uid>,
    /// Pods whose gate the API server refuses to remove.
    pub(crate) refused: BTreeSet<Uid>,
    pub(crate) recreate: bool,
    /// Pods that do not end when they are evicted.
    pub(crate) stubborn: BTreeSet<Uid>,
    next: u128,
}

impl Cluster {
    pub(crate) fn new(pools: Vec<PoolConfig>, nodes: Vec<Node>) -> Self {
        Self::with_config(pools, nodes, Config { hysteresis: Duration::from_secs(60), ..Config::default() })
    }

    pub(crate) fn with_config(pools: Vec<PoolConfig>, nodes: Vec<Node>, config: Config) -> Self {
        let mut events: Vec<Event> = nodes.into_iter().map(Event::Node).collect();
        events.push(Event::Pools(pools));
        Self {
            queue: Queue::new(Box::new(Rules), config),
            now: Time::from_millis(1_000_000),
            pods: BTreeMap::new(),
            jobs: BTreeMap::new(),
            waits: BTreeMap::new(),
            over: BTreeMap::new(),
            decisions: Vec::new(),
            evictions: Vec::new(),
            spoken_of: Vec::new(),
            events,
            evicted: BTreeSet::new(),
            refused: BTreeSet::new(),
            recreate: true,
            stubborn: BTreeSet::new(),
            next: 1,
        }
    }

    /// Creates the pods of a job; they are seen in the next step.
    pub(crate) fn submit(&mut self, name: &str, job: Job) {
        let Job { pool, shape, pods, gang, step, preemptible, priority } = job;
        let shape = Arc::new(shape);
        let owner = Uid::new(1 << 100 | self.next);
        for at in 0..pods {
            let key = GangKey { namespace: "default".into(), name: name.into(), owner: Some(owner) };
            let part = step.map(|step| match at {
                0 => Part { name: "head".into(), needed: 1, step: 1 },
                _ => Part { name: "workers".into(), needed: gang - 1, step },
            });
            let membership = Membership { gang: Arc::new(key), size: gang, at_most: None, part: part.map(Arc::new) };
            let uid = self.uid();
            let pod = Pod {
                uid,
                pool: pool.as_str().into(),
                priority,
                created: self.now,
                preemptible,
                gang: (gang > 0).then_some(membership),
                shape: Arc::clone(&shape),
                phase: Phase::Waiting,
                obstacle: None,
                back_off: None,
                controlled: true,
            };
            self.jobs.entry(name.into()).or_default().push(uid);
            self.change(pod);
        }
    }

    fn uid(&mut self) -> Uid {
        self.next += 1;
        Uid::new(self.next)
    }

    pub(crate) fn change(&mut self, pod: Pod) {
        self.events.push(Event::Pod(pod.clone()));
        self.pods.insert(pod.uid, pod);
    }

    /// All pods of a job finish.
    pub(crate) fn finish(&mut self, name: &str) {
        for uid in self.jobs.remove(name).unwrap_or_default() {
            self.delete(uid);
        }
    }

    /// A pod is being deleted and takes its time, at most so much by its own word.
    pub(crate) fn begin_deletion(&mut self, uid: Uid, grace: Duration) {
        let mut pod = self.pods[&uid].clone();
        if let Phase::Admitted(running) = &mut pod.phase {
            running.terminating = Some(Terminating { since: self.now, grace });
        }
        self.change(pod);
    }

    /// The scheduler has not bound the pods of a job yet.
    pub(crate) fn unbind(&mut self, name: &str) {
        for uid in self.jobs[name].clone() {
            let mut pod = self.pods[&uid].clone();
            if let Phase::Admitted(running) = &mut pod.phase {
                running.node = None;
            }
            self.change(pod);
        }
    }

    pub(crate) fn delete(&mut self, uid: Uid) {
        self.pods.remove(&uid);
        self.waits.remove(&uid);
        self.events.push(Event::PodGone(uid));
    }

    /// Lets time go by and everything settle: binds what is admitted, ends what is evicted.
    pub(crate) fn settle(&mut self, seconds: u64) {
        for second in 0..=seconds {
            if second > 0 {
                self.now = self.now.after(Duration::from_secs(1));
            }
            for _ in 0..6 {
                self.step();
                if self.events.is_empty() {
                    break;
                }
            }
        }
    }

    /// One step, and what the cluster does with the decisions.
    pub(crate) fn step(&mut self) {
        self.step_checked(|_| {});
    }

    /// The same, with a look at the decisions before they are carried out.
    pub(crate) fn step_checked(&mut self, check: impl Fn(&Self)) {
        let events = std::mem::take(&mut self.events);
        self.decisions = self.queue.step(self.now, events);
        check(self);
        for decision in self.decisions.clone() {
            self.carry_out(&decision);
        }
    }

    fn carry_out(&mut self, decision: &Decision) {
        match decision {
            Decision::Admit(admission) => {
                for (uid, node) in &admission.pods {
                    if self.refused.contains(uid) {
                        let why = "the pod is invalid: metadata.annotations: Too long".to_owned();
                        self.events.push(Event::AdmissionRefused { uid: *uid, why });
                        continue;
                    }
                    let mut pod = self.pods[uid].clone();
                    assert_eq!(pod.phase, Phase::Waiting, "{uid} is admitted twice");
                    let (at, grounds) = (self.now, admission.grounds);
                    let running = Admitted { at, grounds, node: node.clone(), started: Some(at), terminating: None };
                    pod.phase = Phase::Admitted(running);
                    self.waits.remove(uid);
                    self.change(pod);
                }
            }
            Decision::Wait(waiting) => {
                waiting.pods.iter().for_each(|&uid| drop(self.waits.insert(uid, waiting.why.clone())));
            }
            Decision::Evict(eviction) => {
                self.evictions.push(eviction.clone());
                for victim in &eviction.victims {
                    assert!(self.evicted.insert(victim.uid), "{} is evicted twice", victim.uid);
                    match self.stubborn.contains(&victim.uid) {
                        true => self.begin_deletion(victim.uid, Duration::from_secs(365 * 86_400)),
                        false => self.replace(victim.uid),
                    }
                }
            }
            Decision::Over { pool, dim, since } => {
                let key = (pool.clone(), dim.clone());
                match since {
                    Some(since) => drop(self.over.insert(key, *since)),
                    None => drop(self.over.remove(&key)),
                }
            }
            Decision::WouldEvict(eviction) => self.spoken_of.push(eviction.clone()),
            Decision::Claim(_) | Decision::Release(_) | Decision::Void(_) => {}
        }
    }

    /// The controller makes a new pod for one that is gone.
    pub(crate) fn replace(&mut self, uid: Uid) {
        let mut pod = self.pods[&uid].clone();
        self.delete(uid);
        let name = self.jobs.iter().find(|(_, uids)| uids.contains(&uid)).map(|(name, _)| name.clone());
        let new = self.uid();
        if let Some(name) = name {
            let uids = self.jobs.get_mut(&name).unwrap();
            uids.retain(|&one| one != uid);
            if self.recreate {
                uids.push(new);
            }
        }
        if self.recreate {
            (pod.uid, pod.created, pod.phase) = (new, self.now, Phase::Waiting);
            self.change(pod);
        }
    }

    /// How many pods of a job are admitted.
    pub(crate) fn running(&self, name: &str) -> usize {
        self.uids(name).filter(|uid| self.pods[uid].phase != Phase::Waiting).count()
    }

    pub(crate) fn grounds(&self, name: &str) -> Vec<Grounds> {
        self.uids(name).filter_map(|uid| self.queue.grounds(uid)).collect()
    }

    fn uids(&self, name: &str) -> impl Iterator<Item = Uid> + '_ {
        self.jobs.get(name).into_iter().flatten().copied()
    }

    /// Why the pods of a job wait, without repetition.
    pub(crate) fn why(&self, name: &str) -> Vec<String> {
        let mut whys: Vec<String> = self
            .uids(name)
            .filter_map(|uid| self.waits.get(&uid))
            .map(|why| format!("{}: {why}", why.reason().as_str()))
            .collect();
        whys.sort();
        whys.dedup();
        whys
    }

    pub(crate) fn id(&self, pool: &str) -> PoolId {
        self.queue.pools().0.find(pool).unwrap()
    }

    pub(crate) fn entitled(&self, pool: &str, dim: &str) -> i64 {
        let dim = self.queue.dimensions().find(dim).unwrap();
        self.queue.entitlements().amount(self.id(pool), dim).units()
    }

    pub(crate) fn used(&self, pool: &str, dim: &str) -> i64 {
        let dim = self.queue.dimensions().find(dim).unwrap();
        self.queue.standing(self.id(pool), dim).usage.units()
    }
}

pub(crate) fn gpu_nodes(count: usize, gpus: i64) -> Vec<Node> {
    (0..count).map(|at| node(&format!("gpu-{at:03}"), &[(GPU, gpus), ("cpu", 64_000)])).collect()
}
