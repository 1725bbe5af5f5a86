//! How much of the cluster is taken, by class of host.
//!
//! CPU of CPU hosts and CPU of GPU hosts are kept apart: the filters never let a pod without GPUs onto a GPU
//! host, so one sum over both would show a cluster as nearly empty while every CPU host is full.

use std::collections::BTreeMap;

use weir_model::Amount;

use super::{Node, Pod};

/// How much of one resource there is, is taken and is waited for, in its base unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// What the nodes have to give; a cordoned one gives what pods still hold on it.
    pub capacity: Amount,
    /// What bound pods hold that have not finished.
    pub used: Amount,
    /// The part of it that may be taken back.
    pub preemptible: Amount,
    /// What pods ask for that exist and have no node.
    pub demand: Amount,
}

impl Level {
    /// What is taken as a part of what there is, between 0 and 1; 0 where there is nothing.
    #[must_use]
    pub fn used_ratio(&self) -> f64 {
        ratio(self.used, self.capacity)
    }

    /// What is taken or waited for as a part of what there is; above 1 when it cannot all fit.
    #[must_use]
    pub fn wanted_ratio(&self) -> f64 {
        ratio(self.used + self.demand, self.capacity)
    }

    fn hold(&mut self, amount: Amount, preemptible: bool, sign: Sign) {
        sign.apply(&mut self.used, amount);
        if preemptible {
            sign.apply(&mut self.preemptible, amount);
        }
    }
}

fn ratio(part: Amount, whole: Amount) -> f64 {
    if whole.is_zero() { 0.0 } else { part.units() as f64 / whole.units() as f64 }
}

/// The levels that the view shows, each a dimension of system.md's A10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// GPUs of all models, in devices.
    pub gpu: Level,
    /// CPU of CPU hosts, in milli-CPU.
    pub cpu: Level,
    /// CPU of GPU hosts, in milli-CPU.
    pub gpu_host_cpu: Level,
}

/// The GPU hosts of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelRow {
    /// The model of the label; `unknown` where a GPU host carries none.
    pub model: String,
    /// Whether it is kept for the pods that name it.
    pub special: bool,
    /// Hosts of this model.
    pub hosts: usize,
    /// Hosts of this model no GPU of which is taken.
    pub free_hosts: usize,
    /// Its GPUs: all, and those taken. `demand` is what waiting pods ask for that accept this model alone.
    pub gpus: Level,
}

/// The GPUs of special models, kept for the pods that name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Special {
    /// All of them.
    pub gpus: Amount,
    /// Those held by pods that name the model they are on.
    pub named: Amount,
    /// Those held by other pods. There should be none.
    pub general: Amount,
}

/// The nodes, and what is taken of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Cluster {
    hosts: BTreeMap<String, Host>,
    levels: Levels,
    /// Of waiting pods that accept exactly one model: GPUs by model.
    demand: BTreeMap<String, Amount>,
}

/// A node that was seen, or that a pod was bound to before it was.
#[derive(Clone, Debug, Default)]
struct Host {
    /// `None` when the node is gone or was not seen yet.
    node: Option<Node>,
    gpus: Amount,
    cpu_milli: Amount,
    /// What it counts for in the capacity.
    counted: Option<Counted>,
    /// The pods that hold something here, by key.
    pods: BTreeMap<String, Held>,
}

/// What a pod holds on a node.
#[derive(Clone, Debug)]
struct Held {
    /// The class that its CPU counts in, which is kept because the node may change its class, or go, while the
    /// pod is on it.
    class: HostClass,
    gpus: Amount,
    /// The special model that it names.
    names: Option<String>,
}

/// What a host adds to the capacity.
#[derive(Clone, Copy, Debug)]
struct Counted {
    class: HostClass,
    gpus: Amount,
    cpu_milli: Amount,
}

impl Host {
    /// A host that takes nobody new still gives what is held on it: taking it out takes away what was free.
    fn gives(&self) -> Option<Counted> {
        let node = self.node.as_ref()?;
        let (gpus, cpu_milli) = if node.cordoned { (self.gpus, self.cpu_milli) } else { (node.gpus, node.cpu_milli) };
        Some(Counted { class: HostClass::of(node), gpus, cpu_milli })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HostClass {
    Cpu,
    Gpu,
}

impl HostClass {
    fn of(node: &Node) -> Self {
        if node.is_gpu_host() { Self::Gpu } else { Self::Cpu }
    }

    /// Where a pod can run.
    const fn wanted_by(pod: &Pod) -> Self {
        if pod.gpus.is_zero() { Self::Cpu } else { Self::Gpu }
    }

    /// The level that CPU of this class counts in.
    const fn cpu(self, levels: &mut Levels) -> &mut Level {
        match self {
            Self::Cpu => &mut levels.cpu,
            Self::Gpu => &mut levels.gpu_host_cpu,
        }
    }
}

impl Cluster {
    pub(super) fn node_seen(&mut self, node: Node) {
        let name = node.name.clone();
        self.replace(&name, Some(node));
    }

    pub(super) fn node_gone(&mut self, name: &str) {
        self.replace(name, None);
    }

    fn replace(&mut self, name: &str, node: Option<Node>) {
        self.hosts.entry(name.to_owned()).or_default().node = node;
        self.recount(name);
    }

    /// Counts anew what a host adds to the capacity, and forgets one that is nothing any more.
    fn recount(&mut self, name: &str) {
        let Some(host) = self.hosts.get_mut(name) else { return };
        let now = host.gives();
        let before = std::mem::replace(&mut host.counted, now);
        for (counted, sign) in [(before, Sign::Minus), (now, Sign::Plus)] {
            let Some(Counted { class, gpus, cpu_milli }) = counted else { continue };
            sign.apply(&mut self.levels.gpu.capacity, gpus);
            sign.apply(&mut class.cpu(&mut self.levels).capacity, cpu_milli);
        }
        if host.node.is_none() && host.pods.is_empty() {
            self.hosts.remove(name);
        }
    }

    pub(super) fn waits(&mut self, pod: &Pod) {
        self.ask(pod, Sign::Plus);
    }

    pub(super) fn waits_no_more(&mut self, pod: &Pod) {
        self.ask(pod, Sign::Minus);
    }

    /// A waiting pod counts in the class of hosts that it can run on.
    fn ask(&mut self, pod: &Pod, sign: Sign) {
        sign.apply(&mut self.levels.gpu.demand, pod.gpus);
        sign.apply(&mut HostClass::wanted_by(pod).cpu(&mut self.levels).demand, pod.cpu_milli);
        if let [model] = pod.models.as_slice() {
            sign.apply(self.demand.entry(model.clone()).or_default(), pod.gpus);
        }
    }

    /// A bound pod counts in the class of the node it is on, even where it should not be there.
    pub(super) fn takes(&mut self, pod: &Pod, node: &str) {
        let host = self.hosts.entry(node.to_owned()).or_default();
        let class = host.node.as_ref().map_or(HostClass::wanted_by(pod), HostClass::of);
        host.pods.insert(pod.key.clone(), Held { class, gpus: pod.gpus, names: pod.special.clone() });
        self.hold(pod, node, class, Sign::Plus);
    }

    pub(super) fn gives_back(&mut self, pod: &Pod, node: &str) {
        let held = self.hosts.get_mut(node).and_then(|host| host.pods.remove(&pod.key));
        let Some(Held { class, .. }) = held else { return };
        self.hold(pod, node, class, Sign::Minus);
    }

    fn hold(&mut self, pod: &Pod, node: &str, class: HostClass, sign: Sign) {
        let Some(host) = self.hosts.get_mut(node) else { return };
        sign.apply(&mut host.gpus, pod.gpus);
        sign.apply(&mut host.cpu_milli, pod.cpu_milli);
        self.levels.gpu.hold(pod.gpus, pod.preemptible, sign);
        class.cpu(&mut self.levels).hold(pod.cpu_milli, pod.preemptible, sign);
        self.recount(node);
    }

    pub(super) const fn levels(&self) -> Levels {
        self.levels
    }

    pub(super) fn nodes(&self) -> usize {
        self.hosts.values().filter(|host| host.node.is_some()).count()
    }

    pub(super) fn special(&self) -> Option<Special> {
        let mut special: Option<Special> = None;
        for host in self.hosts.values() {
            let Some(node) = host.node.as_ref().filter(|node| node.special) else { continue };
            let sum = special.get_or_insert_default();
            sum.gpus += node.gpus;
            for Held { class: _, gpus, names } in host.pods.values() {
                let named = names.is_some() && *names == node.model;
                Sign::Plus.apply(if named { &mut sum.named } else { &mut sum.general }, *gpus);
            }
        }
        special
    }

    pub(super) fn models(&self) -> Vec<ModelRow> {
        let mut rows: BTreeMap<&str, ModelRow> = BTreeMap::new();
        for host in self.hosts.values() {
            let Some(node) = host.node.as_ref().filter(|node| node.is_gpu_host()) else { continue };
            let model = node.model.as_deref().unwrap_or("unknown");
            let row = rows.entry(model).or_default();
            row.special = node.special;
            row.hosts += 1;
            row.free_hosts += usize::from(host.gpus.is_zero());
            row.gpus.capacity += node.gpus;
            row.gpus.used += host.gpus;
        }
        let mut rows: Vec<ModelRow> = rows
            .into_iter()
            .map(|(model, mut row)| {
                row.model = model.to_owned();
                row.gpus.demand = self.demand.get(model).copied().unwrap_or_default();
                row
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.gpus.capacity));
        rows
    }
}

#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus,
}

impl Sign {
    fn apply(self, sum: &mut Amount, amount: Amount) {
        *sum = match self {
            Self::Plus => *sum + amount,
            Self::Minus => sum.minus(amount),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;

    fn node(name: &str, model: Option<&str>, gpus: i64, cores: i64) -> Node {
        let model: Option<String> = model.map(Into::into);
        let special = model.as_deref() == Some("G3");
        let (gpus, cpu_milli) = (Amount::new(gpus), Amount::new(cores * 1000));
        Node { name: name.into(), model, special, cordoned: false, gpus, cpu_milli }
    }

    fn pod(key: &str, gpus: i64, cores: i64, models: &[&str]) -> Pod {
        Pod {
            key: key.into(),
            name: key.into(),
            origin: Origin::Added,
            gpus: Amount::new(gpus),
            cpu_milli: Amount::new(cores * 1000),
            models: models.iter().map(|&model| model.into()).collect(),
            special: (models == ["G3"]).then(|| "G3".into()),
            pool: None,
            preemptible: false,
            ray_cluster: None,
            ends: true,
        }
    }

    fn level(capacity: i64, used: i64, demand: i64) -> Level {
        let [capacity, used, demand] = [capacity, used, demand].map(Amount::new);
        Level { capacity, used, demand, preemptible: Amount::ZERO }
    }

    #[test]
    fn cores_of_gpu_hosts_are_counted_apart() {
        let mut cluster = Cluster::default();
        cluster.node_seen(node("c1", None, 0, 32));
        cluster.node_seen(node("g1", Some("T4"), 4, 64));
        cluster.takes(&pod("web", 0, 8, &[]), "c1");
        cluster.takes(&pod("train", 1, 6, &[]), "g1");
        cluster.waits(&pod("next", 2, 4, &["T4"]));
        let Levels { gpu, cpu, gpu_host_cpu } = cluster.levels();
        assert_eq!(gpu, level(4, 1, 2));
        assert_eq!(cpu, level(32_000, 8_000, 0));
        assert_eq!(gpu_host_cpu, level(64_000, 6_000, 4_000));
    }

    #[test]
    fn a_node_seen_again_counts_once_and_a_changed_one_as_it_is_now() {
        let mut cluster = Cluster::default();
        cluster.node_seen(node("g1", Some("T4"), 4, 64));
        cluster.node_seen(node("g1", Some("T4"), 4, 64));
        assert_eq!(cluster.levels().gpu, level(4, 0, 0));
        cluster.node_seen(node("g1", Some("T4"), 3, 64));
        assert_eq!(cluster.levels().gpu, level(3, 0, 0));
        assert_eq!(cluster.nodes(), 1);
    }

    #[test]
    fn what_a_pod_held_is_given_back_even_when_its_node_has_gone() {
        let mut cluster = Cluster::default();
        let train = pod("train", 1, 6, &[]);
        cluster.node_seen(node("g1", Some("T4"), 4, 64));
        cluster.takes(&train, "g1");
        cluster.node_gone("g1");
        assert_eq!(cluster.levels().gpu, level(0, 1, 0));
        cluster.gives_back(&train, "g1");
        assert_eq!(cluster.levels(), Levels::default());
    }

    #[test]
    fn a_cordoned_host_gives_what_is_still_held_on_it() {
        let mut cluster = Cluster::default();
        let train = pod("train", 1, 6, &[]);
        cluster.node_seen(node("g1", Some("T4"), 4, 64));
        cluster.node_seen(node("g2", Some("T4"), 4, 64));
        cluster.takes(&train, "g1");
        cluster.node_seen(Node { cordoned: true, ..node("g1", Some("T4"), 4, 64) });
        assert_eq!((cluster.levels().gpu, cluster.levels().gpu_host_cpu), (level(5, 1, 0), level(70_000, 6_000, 0)));
        cluster.gives_back(&train, "g1");
        assert_eq!(cluster.levels().gpu, level(4, 0, 0));
        cluster.node_seen(node("g1", Some("T4"), 4, 64));
        assert_eq!(cluster.levels().gpu, level(8, 0, 0));
    }

    #[test]
    fn what_may_be_taken_back_is_a_part_of_what_is_used() {
        let mut cluster = Cluster::default();
        cluster.node_seen(node("g1", Some("T4"), 4, 64));
        let research = Pod { preemptible: true, ..pod("research", 2, 6, &[]) };
        cluster.takes(&research, "g1");
        cluster.takes(&pod("production", 1, 6, &[]), "g1");
        let gpu = cluster.levels().gpu;
        assert_eq!((gpu.used, gpu.preemptible), (Amount::new(3), Amount::new(2)));
        cluster.gives_back(&research, "g1");
        assert_eq!(cluster.levels().gpu, level(4, 1, 0));
    }

    #[test]
    fn a_host_is_free_as_a_whole_only_while_none_of_its_gpus_is_taken() {
        let mut cluster = Cluster::default();
        for name in ["a", "b"] {
            cluster.node_seen(node(name, Some("G2"), 8, 96));
        }
        cluster.node_seen(node("c", Some("T4"), 2, 96));
        cluster.takes(&pod("train", 1, 6, &[]), "b");
        cluster.waits(&pod("picky", 8, 6, &["G2"]));
        cluster.waits(&pod("either", 2, 6, &["G2", "T4"]));
        let rows = cluster.models();
        let row = |model: &str, hosts, free_hosts, gpus| ModelRow {
            model: model.into(),
            special: false,
            hosts,
            free_hosts,
            gpus,
        };
        assert_eq!(rows, [row("G2", 2, 1, level(16, 1, 8)), row("T4", 1, 1, level(2, 0, 0))]);
    }

    #[test]
    fn special_hardware_is_counted_by_who_holds_it() {
        let mut cluster = Cluster::default();
        cluster.node_seen(node("t", Some("T4"), 2, 96));
        assert_eq!(cluster.special(), None);
        // One pod is told before its node, as a watch may.
        cluster.takes(&pod("names it", 3, 1, &["G3"]), "g");
        cluster.node_seen(node("g", Some("G3"), 8, 96));
        cluster.takes(&pod("elsewhere", 1, 1, &["G3"]), "t");
        let stray = pod("stray", 1, 1, &[]);
        cluster.takes(&stray, "g");
        let special = |named, general| {
            Some(Special { gpus: Amount::new(8), named: Amount::new(named), general: Amount::new(general) })
        };
        assert_eq!(cluster.special(), special(3, 1));
        cluster.gives_back(&stray, "g");
        assert_eq!(cluster.special(), special(3, 0));
    }

    #[test]
    fn nothing_of_nothing_is_not_a_number_but_zero() {
        assert_eq!(level(0, 5, 5).used_ratio(), 0.0);
        assert_eq!(level(8, 4, 6).wanted_ratio(), 1.25);
    }
}
