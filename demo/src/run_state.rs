//! The state of a run, as told by events: what was created, placed and refused, and how full the cluster is.
//!
//! Nothing here asks a cluster or reads a clock: each event comes with the time since the run began. Events
//! may be told twice and in any order that a watch can deliver (a re-list tells everything again); saying
//! what is already known changes nothing, and what is said of an unknown pod is dropped. What is *wrong* in
//! a history is not judged here but by [`weir_checker`].

mod admission;
mod answers;
mod event;
mod evictions;
mod feed;
mod history;
mod lives;
mod rays;
mod refusal;
mod steps;
mod tally;

use std::collections::BTreeMap;
use std::time::Duration;

use weir_checker::Violation;

pub use admission::{GangOf, GangRow, Gate, Most, Outlook, PoolFigures, PoolLevel, PoolRow, WaitReason};
pub use event::{Event, Node, Origin, Plan, PluginFigures, Pod, SetupState, SetupStep};
pub use evictions::{Eviction, EvictionRow};
pub use feed::{Feed, Line, Tone};
pub use history::{History, Sample};
pub use refusal::{Reason, Refusal};
pub use steps::{Step, StepRow, StepState};
pub use tally::{Level, Levels, ModelRow, Special};

/// Time since the run began; the driver's clock, never read here.
pub type At = Duration;

/// What part of a run this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Programs are built and started.
    #[default]
    SettingUp,
    /// Pods come and go.
    Replaying,
    /// It is over.
    Ended,
}

/// Pods by what became of them. Pods of the trace count once, recreated or not; added ones not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Seen at all.
    pub created: usize,
    /// Without GPUs and bound at least once.
    pub bound_cpu: usize,
    /// With GPUs and bound at least once.
    pub bound_gpu: usize,
    /// Ran to their end.
    pub finished: usize,
    /// Exist now and have no node; these do not come from the trace alone.
    pub waiting: usize,
    /// Of those that wait, how many the scheduler has already found no node for.
    pub refused: usize,
    /// Of those that wait, how many are not admitted yet: the scheduler does not look at them.
    pub queued: usize,
    /// Of the queued ones, how many nobody has told why.
    pub unexplained: usize,
    /// Of the queued ones, how many wait in vain: they ask for more than there is, or than they may have.
    pub for_good: usize,
    /// Of the queued ones, how many wait for the rest of their gang.
    pub incomplete: usize,
    /// Hold a node now.
    pub running: usize,
    /// Of those that hold a node, how many end by themselves.
    pub ending: usize,
}

impl Counts {
    /// Bound at least once.
    #[must_use]
    pub const fn bound(&self) -> usize {
        self.bound_cpu + self.bound_gpu
    }

    /// Never bound; when the run is over, this is what was refused.
    #[must_use]
    pub const fn never_bound(&self) -> usize {
        self.created.saturating_sub(self.bound())
    }
}

/// A run as it was told so far.
#[derive(Clone, Debug, Default)]
pub struct RunState {
    now: At,
    phase: Phase,
    plan: Plan,
    setup_steps: Vec<SetupStep>,
    replay_began: Option<At>,
    ended: Option<(At, String)>,
    cluster: tally::Cluster,
    admission: admission::Admission,
    pods: BTreeMap<String, Known>,
    trace: BTreeMap<String, PodOutcome>,
    evictions: evictions::Evictions,
    /// Pods that went, by Ray cluster.
    lost_by_rays: BTreeMap<String, usize>,
    steps: steps::Steps,
    plugins: BTreeMap<String, PluginFigures>,
    violations: Vec<Violation>,
    feed: Feed,
    history: History,
    /// When the latest pods were bound, oldest first; not older than [`RATE_WINDOW`].
    recent: std::collections::VecDeque<At>,
    first_bound: Option<At>,
    last_bound: Option<At>,
    peak_rate: f64,
}

/// Over how long pods/s is counted: shorter and the number jumps, longer and it lags.
const RATE_WINDOW: Duration = Duration::from_secs(3);

/// A pod that exists.
#[derive(Clone, Debug)]
struct Known {
    pod: Pod,
    stage: Stage,
    refusal: Option<Refusal>,
    /// Why it has to go, if it has to.
    doomed: Option<Eviction>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Running { node: String },
    Finished,
}

/// What became of a pod of the trace.
#[derive(Clone, Copy, Debug)]
struct PodOutcome {
    asks_for_gpus: bool,
    bound: bool,
    finished: bool,
}

impl RunState {
    /// A run that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened at a time; a time before the last one is taken as the last one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use weir_demo::run_state::{Event, Node, Origin, Pod, RunState};
    /// use weir_model::Amount;
    ///
    /// let mut run = RunState::new();
    /// let (gpus, cpu_milli) = (Amount::new(8), Amount::new(96_000));
    /// let (model, special, cordoned) = (Some("G2".into()), false, false);
    /// let node = Node { name: "n1".into(), model, special, cordoned, gpus, cpu_milli };
    /// run.tell(Duration::from_secs(1), Event::NodeSeen(node));
    /// let pod = Pod {
    ///     key: "uid-1".into(),
    ///     name: "train".into(),
    ///     origin: Origin::Trace("train".into()),
    ///     gpus: Amount::new(2),
    ///     cpu_milli: Amount::new(8_000),
    ///     models: vec![],
    ///     special: None,
    ///     pool: None,
    ///     preemptible: false,
    ///     ray_cluster: None,
    ///     ends: true,
    /// };
    /// run.tell(Duration::from_secs(2), Event::PodCreated(pod));
    /// run.tell(Duration::from_secs(3), Event::PodBound { pod: "uid-1".into(), node: "n1".into() });
    /// assert_eq!(run.counts().bound_gpu, 1);
    /// assert_eq!(run.levels().gpu.used, Amount::new(2));
    /// ```
    pub fn tell(&mut self, at: At, event: Event) {
        self.advance(at);
        match event {
            Event::Planned(plan) => self.plan = plan,
            Event::SetUp(step) => self.setup_step(step),
            Event::ReplayStarted => self.start_replay(),
            Event::Ended { why } => self.end(why),
            Event::NodeSeen(node) => self.cluster.node_seen(node),
            Event::NodeGone { name } => self.cluster.node_gone(&name),
            Event::PodCreated(pod) => self.created(pod),
            Event::PodBound { pod, node } => self.bound(&pod, node),
            Event::PodFinished { pod } => self.finished(&pod),
            Event::PodDeleted { pod } => self.deleted(&pod),
            Event::PodUnschedulable { pod, message } => self.unschedulable(&pod, &message),
            Event::PodQueued { pod, gate } => self.queued(&pod, gate),
            Event::PodAdmitted { pod } => self.admitted(&pod),
            Event::PodDoomed { pod, eviction } => self.doomed(&pod, Some(eviction)),
            Event::PodSpared { pod } => self.doomed(&pod, None),
            Event::PoolSeen(figures) => self.admission.pool(figures),
            Event::PoolGone { name } => self.admission.pool_gone(&name),
            Event::Plugin(figures) => drop(self.plugins.insert(figures.name.clone(), figures)),
            Event::Step { step, state } => self.step(step, state),
            Event::Violated(violation) => {
                self.feed.say(self.now, Tone::Bad, violation.to_string());
                self.violations.push(violation);
            }
            Event::Note(text) => self.feed.say(self.now, Tone::Plain, text),
        }
    }

    /// Lets time pass: nothing happened, but charts and rates move on.
    pub fn advance(&mut self, at: At) {
        self.now = self.now.max(at);
        if self.phase == Phase::Replaying {
            self.history.advance(self.now, self.cluster.levels());
        }
        let oldest = self.now.saturating_sub(RATE_WINDOW);
        while self.recent.front().is_some_and(|&bound| bound < oldest) {
            self.recent.pop_front();
        }
    }

    fn setup_step(&mut self, step: SetupStep) {
        let known = self.setup_steps.iter_mut().find(|known| known.name == step.name);
        let changed = known
            .as_ref()
            .is_none_or(|known| std::mem::discriminant(&known.state) != std::mem::discriminant(&step.state));
        match &step.state {
            SetupState::Done { .. } if changed => self.feed.say(self.now, Tone::Good, step.name.clone()),
            SetupState::Failed { why } if changed => {
                self.feed.say(self.now, Tone::Bad, format!("{}: {why}", step.name))
            }
            SetupState::Planned | SetupState::Running { .. } | SetupState::Done { .. } | SetupState::Failed { .. } => {}
        }
        match known {
            Some(known) => *known = step,
            None => self.setup_steps.push(step),
        }
    }

    fn start_replay(&mut self) {
        if self.phase == Phase::SettingUp {
            self.phase = Phase::Replaying;
            self.replay_began = Some(self.now);
            self.history.begin(self.now, self.cluster.levels());
        }
    }

    fn end(&mut self, why: String) {
        if self.phase != Phase::Ended {
            self.history.close(self.now, self.cluster.levels());
            self.phase = Phase::Ended;
            self.feed.say(self.now, Tone::Plain, why.clone());
            self.ended = Some((self.now, why));
        }
    }

    fn step(&mut self, step: Step, state: StepState) {
        let (title, moment) = (step.title(), self.moment());
        if self.steps.told(self.now, step, state.clone(), moment) {
            let (tone, words) = match state {
                StepState::Playing => (Tone::Plain, format!("{title} …")),
                StepState::Done => (Tone::Good, title.to_owned()),
                StepState::Cut { why } => (Tone::Bad, format!("{title}: {why}")),
            };
            self.feed.say(self.now, tone, words);
        }
    }

    fn moment(&self) -> steps::Moment {
        steps::Moment::of(self.levels().gpu, self.admission.all(), &self.evictions, self.rays())
    }

    fn rays(&self) -> rays::Rays {
        let mut rays = rays::Rays::new();
        for (cluster, evicted) in &self.lost_by_rays {
            rays.entry(cluster.clone()).or_default().evicted = *evicted;
        }
        for (key, known) in self.pods.iter().filter(|(_, known)| known.stage != Stage::Finished) {
            let Some(cluster) = &known.pod.ray_cluster else { continue };
            let ray = rays.entry(cluster.clone()).or_default();
            ray.pods += 1;
            ray.running += usize::from(known.stage != Stage::Waiting);
            if let Some(gate) = self.admission.gate(key) {
                ray.waiting += 1;
                ray.reason.clone_from(&gate.reason);
            }
        }
        rays
    }
}

#[cfg(test)]
mod tests;
