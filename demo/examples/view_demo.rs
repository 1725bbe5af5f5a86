//! Plays an invented run through the state, the view and the report, to look at them without a cluster.
//!
//! `cargo run -p weir-demo --example view_demo [SVG]`: with a terminal the live view (`q` ends it), without one the plain
//! lines; at the end the summary, the JSON document, and the chart if a path is given. Nodes and pods are made up from a
//! fixed seed, with the proportions of hosts that the openb trace has.

use std::io;
use std::time::{Duration, Instant};

use weir_checker::Violation;
use weir_demo::cluster_state::Change;
use weir_demo::cluster_state::node::NodeState;
use weir_demo::cluster_state::pod::{Origin, Pod, PodState};
use weir_demo::cluster_state::refusal::Refusal;
use weir_demo::report::{self, LineLog, Outcome};
use weir_demo::run_state::event::{Plan, PluginFigures};
use weir_demo::run_state::setup::{SetupState, SetupStep};
use weir_demo::run_state::{Event, RunState};
use weir_demo::view::Screen;
use weir_model::Amount;

/// Model, hosts, GPUs and cores of each.
const HOSTS: [(&str, usize, i64, i64); 8] = [
    ("", 310, 0, 32),
    ("G2", 549, 8, 96),
    ("T4", 404, 2, 96),
    ("P100", 134, 2, 64),
    ("V100M16", 55, 4, 64),
    ("G3", 39, 8, 128),
    ("V100M32", 30, 8, 96),
    ("A10", 2, 1, 128),
];

const PODS: usize = 4000;
const FRAME: Duration = Duration::from_millis(66);

fn main() -> io::Result<()> {
    let began = Instant::now();
    let mut demo = Demo::new();
    if Screen::possible() {
        let mut screen = Screen::open()?;
        while !demo.over() && !screen.asked_to_stop()? {
            demo.play(began.elapsed());
            screen.show(&demo.run)?;
            std::thread::sleep(FRAME);
        }
    } else {
        // Without a viewer time passes at once.
        let (mut log, mut now) = (LineLog::default(), Duration::ZERO);
        while !demo.over() {
            now += FRAME;
            demo.play(now);
            log.lines(&demo.run).iter().for_each(|line| println!("{line}"));
        }
    }
    println!("{}", report::summary(&demo.run));
    if let Some(path) = std::env::args().nth(1) {
        std::fs::write(path, report::chart(&demo.run))?;
    }
    println!("{}", Outcome::of(&demo.run).to_json()?);
    Ok(())
}

struct Demo {
    run: RunState,
    seed: u64,
    /// Each with the GPUs and the CPU that are taken.
    nodes: Vec<(NodeState, Amount, Amount)>,
    created: usize,
    /// Pods that wait, and pods that run with their node and their end.
    waiting: Vec<Pod>,
    running: Vec<(Pod, usize, Duration)>,
    calls: u64,
}

impl Demo {
    fn new() -> Self {
        let mut nodes = Vec::new();
        for (model, hosts, gpus, cores) in HOSTS {
            for _ in 0..hosts {
                let name = format!("openb-node-{:04}", nodes.len());
                let model = (!model.is_empty()).then(|| model.to_owned());
                let special = ["G3", "V100M32"].iter().any(|special| model.as_deref() == Some(*special));
                let (gpus, cpu_milli) = (Amount::new(gpus), Amount::new(cores * 1000));
                let node = NodeState { name, model, special, cordoned: false, gpus, cpu_milli };
                nodes.push((node, Amount::ZERO, Amount::ZERO));
            }
        }
        let mut run = RunState::new();
        let title = "openb gpuspec33 (invented)".to_owned();
        run.tell(
            Duration::ZERO,
            Event::Planned(Plan { title, nodes: nodes.len(), pods: PODS, rounded_up: 861, pace: String::new() }),
        );
        let (waiting, running) = (Vec::new(), Vec::new());
        Self { run, seed: 42, nodes, created: 0, waiting, running, calls: 0 }
    }

    fn over(&self) -> bool {
        self.run.clock().ending().is_some()
    }

    /// Tells what happens up to a time.
    fn play(&mut self, now: Duration) {
        self.run.advance(now);
        let set_up = Duration::from_secs(6);
        if now < set_up {
            return self.set_up(now);
        }
        if self.created == 0 {
            self.set_up(set_up);
            for (node, _, _) in &self.nodes {
                self.run.tell(now, Event::Cluster(Change::Node(node.clone())));
            }
            self.run.tell(now, Event::ReplayStarted);
        }
        let due = ((now - set_up).as_secs_f64() / 40.0 * PODS as f64) as usize;
        while self.created < due.clamp(1, PODS) {
            self.create(now);
        }
        self.finish(now);
        self.schedule(now);
        for (name, sha) in
            [("GPUFilter", "3b7f09c1d2aa"), ("SKUExclusionFilter", "91ce44d07f3e"), ("BinPackScore", "d0b8aa17c65f")]
        {
            let digest = format!("sha256:{sha}{sha}{sha}");
            self.run.tell(now, Event::Plugin(PluginFigures { name: name.into(), digest, calls: self.calls }));
        }
        if now > set_up + Duration::from_secs(46) {
            self.run.tell(now, Event::Ended { why: "every pod of the trace had its turn".into() });
        }
    }

    fn set_up(&mut self, now: Duration) {
        let mut begins = Duration::ZERO;
        for (name, millis) in [
            ("building the plugins", 400),
            ("building etcd", 900),
            ("building kube-apiserver", 2600),
            ("building kube-scheduler", 1400),
            ("starting the cluster", 700),
        ] {
            let took = Duration::from_millis(millis);
            let elapsed = now.saturating_sub(begins);
            let expected = (millis > 1000).then_some(took);
            let state = match elapsed {
                _ if now < begins => SetupState::Planned,
                _ if elapsed < took => SetupState::Running { elapsed, expected },
                _ => SetupState::Done { took },
            };
            self.run.tell(now, Event::SetUp(SetupStep { name: name.into(), state }));
            begins += took;
        }
    }

    fn create(&mut self, now: Duration) {
        let name = format!("openb-pod-{:04}", self.created);
        let gpus = [0, 0, 0, 1, 1, 1, 1, 2, 4, 8, 8][self.random(11)];
        let cores = if gpus == 0 { [4, 8, 16, 24][self.random(4)] } else { [4, 6, 8][self.random(3)] * gpus };
        let models = match self.random(8) {
            0 if gpus > 0 => vec![HOSTS[1 + self.random(6)].0.to_owned()],
            _ => Vec::new(),
        };
        let pod = Pod { models, ..Pod::plain(&name, Origin::Trace, Amount::new(gpus), Amount::new(cores * 1000)) };
        self.run.tell(now, told(PodState::new(pod.clone())));
        self.waiting.push(pod);
        self.created += 1;
        if self.created == 2400 {
            let (pod, node) = ("default/openb-pod-1199".into(), "openb-node-0400".into());
            let sentence = "asks for no GPU, but this is a GPU host (invented, to see how it looks)".into();
            self.run.tell(now, Event::Violated(Violation { invariant: "D1", pod, node, sentence }));
        }
    }

    fn finish(&mut self, now: Duration) {
        for (pod, at, _) in self.running.extract_if(.., |&mut (_, _, end)| end <= now) {
            let (_, gpus, cpu) = &mut self.nodes[at];
            (*gpus, *cpu) = (gpus.minus(pod.asks.gpus), cpu.minus(pod.asks.cpu_milli));
            let node = Some(self.nodes[at].0.name.clone());
            self.run.tell(now, told(PodState { node, ended: true, ..PodState::new(pod) }));
        }
    }

    /// The first node that fits, for every pod that waits.
    fn schedule(&mut self, now: Duration) {
        for pod in std::mem::take(&mut self.waiting) {
            self.calls += self.nodes.len() as u64;
            let (mut not_gpu, mut model, mut full) = (0, 0, 0);
            let fits = self.nodes.iter().position(|(node, gpus, cpu)| {
                if node.is_gpu_host() == pod.asks.gpus.is_zero() {
                    not_gpu += 1;
                } else if !pod.models.is_empty() && !node.model.iter().any(|model| pod.models.contains(model)) {
                    model += 1;
                } else if *gpus + pod.asks.gpus > node.gpus || *cpu + pod.asks.cpu_milli > node.cpu_milli {
                    full += 1;
                } else {
                    return true;
                }
                false
            });
            let Some(at) = fits else {
                let (asks, short) = if pod.asks.gpus.is_zero() {
                    ("pod asks for no GPU, node is a GPU host", "Insufficient cpu")
                } else {
                    ("pod asks for GPUs, node has none", "Insufficient nvidia.com/gpu")
                };
                let model = format!("{model} node(s) didn't match Pod's node affinity/selector");
                let message = format!("0/1523 nodes are available: {not_gpu} {asks}, {full} {short}, {model}.");
                let refusal = Some(Refusal::parse(&message));
                self.run.tell(now, told(PodState { refusal, ..PodState::new(pod.clone()) }));
                self.waiting.push(pod);
                continue;
            };
            let (node, gpus, cpu) = &mut self.nodes[at];
            (*gpus, *cpu) = (*gpus + pod.asks.gpus, *cpu + pod.asks.cpu_milli);
            let node = Some(node.name.clone());
            self.run.tell(now, told(PodState { node, ..PodState::new(pod.clone()) }));
            let lasts = Duration::from_millis(8_000 + 500 * self.random(90) as u64);
            self.running.push((pod, at, now + lasts));
        }
    }

    /// A number below `below`, the same in every run.
    fn random(&mut self, below: usize) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) as usize % below
    }
}

fn told(pod: PodState) -> Event {
    Event::Cluster(Change::Pod(Box::new(pod)))
}
