//! The state of a run, as told by events: what was created, placed and refused, and how full the cluster is.
//!
//! Nothing here asks a cluster or reads a clock: each event comes with the time since the run began. Events
//! may be told twice and in any order that a watch can deliver (a re-list tells everything again); saying
//! what is already known changes nothing, and what is said of an unknown pod is dropped. What is *wrong* in
//! a history is not judged here but by [`checker`](super::checker).

mod acts;
mod admission;
mod event;
mod evictions;
mod feed;
mod history;
mod rays;
mod refusal;
mod tally;

use std::collections::BTreeMap;
use std::time::Duration;

pub use acts::{Act, ActRow, ActState};
pub use admission::{GangOf, GangRow, Gate, Most, Outlook, PoolFigures, PoolLevel, PoolRow, WaitReason};
pub use event::{Event, Node, Origin, Plan, PluginFigures, Pod, Step, StepState};
pub use evictions::{Eviction, EvictionRow};
pub use feed::{Feed, Line, Tone};
pub use history::{History, Sample};
pub use refusal::{Reason, Refusal};
pub use tally::{Level, Levels, ModelRow, Special};

use super::checker::Violation;

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
pub struct Story {
    now: At,
    phase: Phase,
    plan: Plan,
    steps: Vec<Step>,
    replay_began: Option<At>,
    ended: Option<(At, String)>,
    cluster: tally::Cluster,
    admission: admission::Admission,
    pods: BTreeMap<String, Known>,
    trace: BTreeMap<String, Fate>,
    evictions: evictions::Evictions,
    /// Pods that went, by Ray cluster.
    lost_by_rays: BTreeMap<String, usize>,
    acts: acts::Acts,
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
struct Fate {
    asks_for_gpus: bool,
    bound: bool,
    finished: bool,
}

impl Story {
    /// A run that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened at a time; a time before the last one is taken as the last one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use weir_cli::run::story::{Event, Node, Origin, Pod, Story};
    /// use weir_model::Amount;
    ///
    /// let mut story = Story::new();
    /// let (gpus, cpu_milli) = (Amount::new(8), Amount::new(96_000));
    /// let (model, special, cordoned) = (Some("G2".into()), false, false);
    /// let node = Node { name: "n1".into(), model, special, cordoned, gpus, cpu_milli };
    /// story.tell(Duration::from_secs(1), Event::NodeSeen(node));
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
    /// story.tell(Duration::from_secs(2), Event::PodCreated(pod));
    /// story.tell(Duration::from_secs(3), Event::PodBound { pod: "uid-1".into(), node: "n1".into() });
    /// assert_eq!(story.counts().bound_gpu, 1);
    /// assert_eq!(story.levels().gpu.used, Amount::new(2));
    /// ```
    pub fn tell(&mut self, at: At, event: Event) {
        self.advance(at);
        match event {
            Event::Planned(plan) => self.plan = plan,
            Event::Step(step) => self.step(step),
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
            Event::Act { act, state } => self.act(act, state),
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

    fn step(&mut self, step: Step) {
        let known = self.steps.iter_mut().find(|known| known.name == step.name);
        let changed = known
            .as_ref()
            .is_none_or(|known| std::mem::discriminant(&known.state) != std::mem::discriminant(&step.state));
        match &step.state {
            StepState::Done { .. } if changed => self.feed.say(self.now, Tone::Good, step.name.clone()),
            StepState::Failed { why } if changed => self.feed.say(self.now, Tone::Bad, format!("{}: {why}", step.name)),
            StepState::Planned | StepState::Running { .. } | StepState::Done { .. } | StepState::Failed { .. } => {}
        }
        match known {
            Some(known) => *known = step,
            None => self.steps.push(step),
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

    fn created(&mut self, pod: Pod) {
        if self.pods.contains_key(&pod.key) {
            return;
        }
        if let Origin::Trace(name) = &pod.origin {
            let asks_for_gpus = !pod.gpus.is_zero();
            self.trace.entry(name.clone()).or_insert(Fate { asks_for_gpus, bound: false, finished: false });
        }
        self.cluster.waits(&pod);
        self.pods.insert(pod.key.clone(), Known { pod, stage: Stage::Waiting, refusal: None, doomed: None });
    }

    fn queued(&mut self, key: &str, gate: Gate) {
        if !self.pods.get(key).is_some_and(|known| known.stage == Stage::Waiting) {
            return;
        }
        if let Some(GangOf { name, size }) = self.admission.waits(key, gate, self.now) {
            self.feed.say(self.now, Tone::Plain, format!("gang {name} is whole: {size} pods"));
        }
    }

    fn admitted(&mut self, key: &str) {
        let Some(gate) = self.admission.waits_no_more(key) else { return };
        self.admission.admitted(&gate);
        let Some(known) = self.pods.get(key) else { return };
        let gang = gate.gang.map(|gang| gang.name);
        self.feed.admitted(self.now, &known.pod.name, gang.as_deref());
    }

    fn bound(&mut self, key: &str, node: String) {
        self.admission.waits_no_more(key);
        let Some(known) = self.pods.get_mut(key) else { return };
        if known.stage != Stage::Waiting {
            return;
        }
        self.cluster.waits_no_more(&known.pod);
        self.cluster.takes(&known.pod, &node);
        self.feed.bound(self.now, &known.pod.name, &node);
        known.stage = Stage::Running { node };
        known.refusal = None;
        self.recent.push_back(self.now);
        self.peak_rate = self.peak_rate.max(self.rate());
        self.first_bound.get_or_insert(self.now);
        self.last_bound = Some(self.now);
        if let Some(fate) = self.fate(key) {
            fate.bound = true;
        }
    }

    fn finished(&mut self, key: &str) {
        self.end_of(key);
        if let Some(fate) = self.fate(key) {
            fate.finished = true;
        }
    }

    fn doomed(&mut self, key: &str, eviction: Option<Eviction>) {
        if let Some(known) = self.pods.get_mut(key) {
            known.doomed = eviction;
        }
    }

    /// One that had to go has gone; any other that is deleted just ends.
    fn deleted(&mut self, key: &str) {
        let doomed = self.pods.get_mut(key).filter(|known| known.stage != Stage::Finished);
        match doomed.and_then(|known| Some((known.pod.clone(), known.doomed.take()?))) {
            Some((pod, eviction)) => {
                self.evictions.add(pod.pool.as_deref().unwrap_or_default(), &eviction);
                self.feed.evicted(self.now, &pod, &eviction);
                if let Some(cluster) = pod.ray_cluster {
                    *self.lost_by_rays.entry(cluster).or_default() += 1;
                }
                self.release(key, Stage::Finished);
            }
            None => self.end_of(key),
        }
        self.pods.remove(key);
    }

    fn act(&mut self, act: Act, state: ActState) {
        let (title, moment) = (act.title(), self.moment());
        if self.acts.told(self.now, act, state.clone(), moment) {
            let (tone, words) = match state {
                ActState::Playing => (Tone::Plain, format!("{title} …")),
                ActState::Done => (Tone::Good, title.to_owned()),
                ActState::Cut { why } => (Tone::Bad, format!("{title}: {why}")),
            };
            self.feed.say(self.now, tone, words);
        }
    }

    fn moment(&self) -> acts::Moment {
        acts::Moment::of(self.levels().gpu, self.admission.all(), &self.evictions, self.rays())
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

    fn end_of(&mut self, key: &str) {
        if let Some(name) = self.release(key, Stage::Finished) {
            self.feed.finished(self.now, &name);
        }
    }

    /// Gives back what a pod holds or asks for; its name, if that was anything.
    fn release(&mut self, key: &str, stage: Stage) -> Option<String> {
        self.admission.waits_no_more(key);
        let known = self.pods.get_mut(key)?;
        match std::mem::replace(&mut known.stage, stage) {
            Stage::Waiting => self.cluster.waits_no_more(&known.pod),
            Stage::Running { node } => self.cluster.gives_back(&known.pod, &node),
            Stage::Finished => return None,
        }
        known.refusal = None;
        Some(known.pod.name.clone())
    }

    fn unschedulable(&mut self, key: &str, message: &str) {
        let Some(known) = self.pods.get_mut(key).filter(|known| known.stage == Stage::Waiting) else { return };
        let refusal = Refusal::parse(message);
        if known.refusal.as_ref() != Some(&refusal) {
            self.feed.refused(self.now, &known.pod.name, &refusal);
            known.refusal = Some(refusal);
        }
    }

    fn fate(&mut self, key: &str) -> Option<&mut Fate> {
        match &self.pods.get(key)?.pod.origin {
            Origin::Trace(name) => self.trace.get_mut(name),
            Origin::Added => None,
        }
    }
}

/// What can be asked of a story.
impl Story {
    /// The time of the last event.
    #[must_use]
    pub const fn now(&self) -> At {
        self.now
    }

    /// What part of the run this is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// What the run intends.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The steps of the set-up in the order in which they began.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How long the replay has lasted, or lasted.
    #[must_use]
    pub fn replayed(&self) -> Duration {
        let until = self.ended.as_ref().map_or(self.now, |&(at, _)| at);
        self.replay_began.map_or(Duration::ZERO, |began| until.saturating_sub(began))
    }

    /// A time as a time since the replay began; `None` for what was before.
    #[must_use]
    pub fn into_replay(&self, at: At) -> Option<Duration> {
        self.replay_began.and_then(|began| at.checked_sub(began))
    }

    /// Why the run ended, once it has.
    #[must_use]
    pub fn ending(&self) -> Option<&str> {
        self.ended.as_ref().map(|(_, why)| why.as_str())
    }

    /// Pods by what became of them.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for &Fate { asks_for_gpus, bound, finished } in self.trace.values() {
            counts.created += 1;
            counts.bound_gpu += usize::from(bound && asks_for_gpus);
            counts.bound_cpu += usize::from(bound && !asks_for_gpus);
            counts.finished += usize::from(finished);
        }
        for known in self.pods.values() {
            counts.waiting += usize::from(known.stage == Stage::Waiting);
            let runs = matches!(known.stage, Stage::Running { .. });
            counts.running += usize::from(runs);
            counts.ending += usize::from(runs && known.pod.ends);
            counts.refused += usize::from(known.refusal.is_some());
        }
        counts.queued = self.admission.waiting();
        counts.unexplained = self.admission.unexplained();
        counts.for_good = self.admission.with(Outlook::ForGood);
        counts.incomplete = self.admission.with(Outlook::Incomplete);
        counts
    }

    /// Nodes that exist.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.cluster.nodes()
    }

    /// How full the cluster is now.
    #[must_use]
    pub fn levels(&self) -> Levels {
        self.cluster.levels()
    }

    /// GPU hosts by model, the model with most GPUs first.
    #[must_use]
    pub fn models(&self) -> Vec<ModelRow> {
        self.cluster.models()
    }

    /// Special hardware, and who holds it; `None` where no node has any.
    #[must_use]
    pub fn special(&self) -> Option<Special> {
        self.cluster.special()
    }

    /// How full the cluster was over time.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Pods bound per second, over the last few seconds.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let span = self.first_bound.map_or(Duration::ZERO, |first| self.now.saturating_sub(first));
        let span = span.clamp(Duration::from_secs(1), RATE_WINDOW);
        self.recent.len() as f64 / span.as_secs_f64()
    }

    /// The highest rate there was.
    #[must_use]
    pub const fn peak_rate(&self) -> f64 {
        self.peak_rate
    }

    /// Why pods wait that the scheduler found no node for: reasons with the number of pods, most pods first.
    #[must_use]
    pub fn refusals(&self) -> Vec<Reason> {
        refusal::grouped(self.pods.values().filter_map(|known| known.refusal.as_ref()))
    }

    /// The tree of pools, depth first; empty where nobody divides the cluster.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolRow<'_>> {
        self.admission.tree()
    }

    /// The most that a pool had so far.
    #[must_use]
    pub fn most(&self, pool: &str) -> Most {
        self.admission.most(pool)
    }

    /// Why pods wait for admission, most pods first.
    #[must_use]
    pub fn wait_reasons(&self) -> Vec<WaitReason> {
        self.admission.reasons()
    }

    /// Gangs that wait for members, those that miss fewest first.
    #[must_use]
    pub fn gangs(&self) -> Vec<GangRow> {
        self.admission.gangs()
    }

    /// Pods that had to go and went: by pool, reason and beneficiary.
    #[must_use]
    pub fn evictions(&self) -> Vec<EvictionRow> {
        self.evictions.rows()
    }

    /// The acts of the demonstration so far, each with what came of it.
    #[must_use]
    pub fn acts(&self) -> Vec<ActRow> {
        if self.acts.is_empty() { Vec::new() } else { self.acts.rows(&self.moment()) }
    }

    /// What the plugins did, by name.
    pub fn plugins(&self) -> impl ExactSizeIterator<Item = &PluginFigures> {
        self.plugins.values()
    }

    /// What the history checker found, oldest first.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// What happened, in lines, oldest first.
    #[must_use]
    pub const fn feed(&self) -> &Feed {
        &self.feed
    }
}

#[cfg(test)]
mod tests;
