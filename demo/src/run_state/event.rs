//! The words in which a run is told: what happened, and of nodes and pods just what the story needs.

use std::time::Duration;

use weir_checker::Violation;
use weir_model::Amount;

use super::admission::{Gate, PoolFigures};
use super::evictions::Eviction;
use super::steps::{Step, StepState};

/// Something that happened, for [`RunState::tell`](super::RunState::tell).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What the run intends; told once, before the first node.
    Planned(Plan),
    /// A step of the set-up began, went on, ended or failed; steps are known by their name.
    SetUp(SetupStep),
    /// The set-up is over and the trace is being replayed.
    ReplayStarted,
    /// Every pod of the trace had its turn; `why` is shown, for example "all pods of the trace were seen".
    Ended {
        /// A sentence for the feed and the summary.
        why: String,
    },
    /// A node exists, or changed.
    NodeSeen(Node),
    /// A node is gone.
    NodeGone {
        /// The node's name.
        name: String,
    },
    /// A pod exists.
    PodCreated(Pod),
    /// A pod was given a node.
    PodBound {
        /// [`Pod::key`].
        pod: String,
        /// The node's name.
        node: String,
    },
    /// A pod succeeded or failed: it holds nothing any more.
    PodFinished {
        /// [`Pod::key`].
        pod: String,
    },
    /// A pod is gone from the API server.
    PodDeleted {
        /// [`Pod::key`].
        pod: String,
    },
    /// The scheduler found no node: the message of the pod's `PodScheduled` condition or event, as it is.
    PodUnschedulable {
        /// [`Pod::key`].
        pod: String,
        /// For example `0/1523 nodes are available: 310 Insufficient cpu.`
        message: String,
    },
    /// A pod carries the admission gate; the newest reason stands.
    PodQueued {
        /// [`Pod::key`].
        pod: String,
        /// Why it waits, and with whom.
        gate: Gate,
    },
    /// The gate of a pod is gone.
    PodAdmitted {
        /// [`Pod::key`].
        pod: String,
    },
    /// A pod has to go, or is going: somebody said why, and it is evicted soon if nothing changes.
    PodDoomed {
        /// [`Pod::key`].
        pod: String,
        /// Why.
        eviction: Eviction,
    },
    /// A pod that had to go stays after all.
    PodSpared {
        /// [`Pod::key`].
        pod: String,
    },
    /// A pool exists, or its figures changed.
    PoolSeen(PoolFigures),
    /// A pool is gone.
    PoolGone {
        /// [`PoolFigures::name`].
        name: String,
    },
    /// What a plugin did so far; the newest figures of a name stand.
    Plugin(PluginFigures),
    /// A step of the demonstration begins, or is over.
    Step {
        /// What happens in it.
        step: Step,
        /// How far it is.
        state: StepState,
    },
    /// The history checker found a breach.
    Violated(Violation),
    /// Anything else worth a line in the feed.
    Note(String),
}

/// What a run intends to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is replayed, for the title, for example `openb gpuspec33 × 4000`.
    pub title: String,
    /// Nodes that will be created.
    pub nodes: usize,
    /// Pods of the trace that will be created.
    pub pods: usize,
    /// How many of them ask for a fraction of a GPU in the trace and are rounded up to one here.
    pub rounded_up: usize,
    /// What was done to the trace's time, for the summary, for example `1 s is 4.3 h of the trace`; may be empty.
    pub pace: String,
}

/// One step of the set-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupStep {
    /// What is done, for example `building kube-apiserver`.
    pub name: String,
    /// How far it is.
    pub state: SetupState,
}

/// How far a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupState {
    /// It will come. Told for all steps at first, it lets the view say how far the whole set-up is.
    Planned,
    /// Under way for `elapsed`.
    Running {
        /// How long so far.
        elapsed: Duration,
        /// How long it took where it was measured; `None` where nobody knows.
        expected: Option<Duration>,
    },
    /// Done.
    Done {
        /// How long it took.
        took: Duration,
    },
    /// Failed; the run will end.
    Failed {
        /// What went wrong, in one sentence.
        why: String,
    },
}

/// What the story needs to know of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Unique in the cluster.
    pub name: String,
    /// The GPU model of its label; `None` for a CPU host.
    pub model: Option<String>,
    /// Whether that model is kept for the pods that name it.
    pub special: bool,
    /// Whether it is kept free of new pods: it is cordoned.
    pub cordoned: bool,
    /// Allocatable GPUs.
    pub gpus: Amount,
    /// Allocatable CPU in milli-CPU.
    pub cpu_milli: Amount,
}

impl Node {
    /// Whether it is a GPU host: it has GPUs, or a model that says it will have some again.
    #[must_use]
    pub fn is_gpu_host(&self) -> bool {
        self.model.is_some() || !self.gpus.is_zero()
    }
}

/// Where a pod comes from, which decides how it counts at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A pod of the trace, by its name there. A recreated pod has the same name there and counts once.
    Trace(String),
    /// A pod that the demonstration adds; it takes room, but is in no sum.
    Added,
}

/// What the story needs to know of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Unique over the run; the UID, because a name may come back.
    pub key: String,
    /// What to call it in the view.
    pub name: String,
    /// How it counts.
    pub origin: Origin,
    /// GPUs it asks for.
    pub gpus: Amount,
    /// CPU it asks for, in milli-CPU.
    pub cpu_milli: Amount,
    /// GPU models it accepts; empty means any.
    pub models: Vec<String>,
    /// The special model that it names, if it names one.
    pub special: Option<String>,
    /// The pool that it asks, where it asks for admission.
    pub pool: Option<String>,
    /// Whether it may be taken back.
    pub preemptible: bool,
    /// The Ray cluster that it is of.
    pub ray_cluster: Option<String>,
    /// Whether it ends by itself after a time.
    pub ends: bool,
}

impl Pod {
    /// A pod that is called by its key, goes on any model, asks for no admission and ends by itself.
    #[must_use]
    pub fn plain(key: &str, origin: Origin, gpus: Amount, cpu_milli: Amount) -> Self {
        Self {
            key: key.to_owned(),
            name: key.to_owned(),
            origin,
            gpus,
            cpu_milli,
            models: Vec::new(),
            special: None,
            pool: None,
            preemptible: false,
            ray_cluster: None,
            ends: true,
        }
    }
}

/// What a scheduler plugin did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginFigures {
    /// The plugin's name in the profile, for example `GPUFilter`.
    pub name: String,
    /// `sha256:…` of the module in force.
    pub digest: String,
    /// Calls, remembered verdicts included.
    pub calls: u64,
}
