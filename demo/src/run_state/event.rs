//! What a run is told.

use weir_checker::Violation;

use super::setup::SetupStep;
use super::steps::{Step, StepState};
use crate::cluster_state::Change;

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
    /// The watch told something of the cluster.
    Cluster(Change),
    /// What a plugin did so far; the newest figures of a name stand.
    Plugin(PluginFigures),
    /// A step of the story begins, or is over.
    Step {
        /// What happens in it.
        step: Step,
        /// How far it is.
        state: StepState,
    },
    /// The judge found a broken promise.
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
